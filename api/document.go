package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Names of the security schemes in the document.
const (
	riderScheme    = "rider"
	operatorScheme = "operator"
	cookieScheme   = "login"
)

// newDocument is the part of the OpenAPI document that no operation brings. Both
// muxes add their operations to the same one.
func newDocument(name string) *huma.OpenAPI {
	var b strings.Builder
	b.WriteString("Riders scan, ride and pay; staff run the devices.\n\n" +
		"Errors are RFC 9457 problems. Branch on `code`, never on `title` or `detail`:\n\n" +
		"| status | code | title |\n|---|---|---|\n")
	for _, row := range problems {
		fmt.Fprintf(&b, "| %d | `%s` | %s |\n", row.Status, row.Code, row.Title)
	}
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "unlatch: " + name, Version: "1", Description: b.String()},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				riderScheme:    {Type: "http", Scheme: "bearer", Description: "A rider's token, from POST /v1/login"},
				operatorScheme: {Type: "http", Scheme: "bearer", Description: "An API key, which begins with ul_"},
				cookieScheme:   {Type: "apiKey", In: "cookie", Name: consoleCookie, Description: "A login, from POST /v1/operator/logins; pages of other addresses cannot use it"},
			},
		},
		Tags: []*huma.Tag{
			{Name: "rider", Description: "For riders' phones"},
			{Name: "operator", Description: "For staff and their programs"},
			{Name: "public", Description: "For anybody"},
		},
	}
}

// forRiders and forStaff begin an operation of one of the two muxes.
func forRiders(id, method, path, summary string) huma.Operation {
	op := huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"rider"}}
	if !openToRiders[id] {
		op.Security = []map[string][]string{{riderScheme: {}}}
	}
	return op
}

func forStaff(id, method, path, summary string) huma.Operation {
	op := huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"operator"}}
	if role := leastRole[id]; role != anybody {
		op.Security = []map[string][]string{{operatorScheme: {}}, {cookieScheme: {}}}
		op.Description = fmt.Sprintf("Least role: %s.", role)
	}
	op.Extensions = map[string]any{"x-least-role": string(leastRole[id]), "x-venues": scopes[id].how.String()}
	if loginNeeded[id] {
		op.Security = []map[string][]string{{cookieScheme: {}}}
		op.Description += " An API key is not enough: sign in."
		op.Extensions["x-login-needed"] = true
	}
	if proofNeeded[id] {
		op.Description += " The login must be of the last ten minutes; signing in again makes it so."
	}
	return op
}

// answersOf documents an answer that huma does not render itself: bytes that were
// stored, a picture, a stream.
func answersOf(op huma.Operation, status int, mediaType string, schema *huma.Schema) huma.Operation {
	op.DefaultStatus = status
	op.Responses = map[string]*huma.Response{fmt.Sprint(status): {
		Description: http.StatusText(status),
		Content:     map[string]*huma.MediaType{mediaType: {Schema: schema}},
	}}
	return op
}

// schemaOf is a reference to the schema of T.
func schemaOf[T any](a *API) *huma.Schema {
	t := reflect.TypeFor[T]()
	return a.document.Components.Schemas.Schema(t, true, t.Name())
}

// finishDocument corrects what huma derives and adds the public pages.
func (a *API) finishDocument() {
	text := &huma.Schema{Type: huma.TypeString}
	for _, page := range []struct{ id, path, summary, mediaType string }{
		{"home", "/", "A page that names this installation", "text/html"},
		{"code-page", "/d/{code}", "The page behind a printed code", "text/html"},
		{"sign-in-page", "/sign-in", "The form that signs staff in", "text/html"},
		{"invite-page", "/invite", "The form that sets a password by a link", "text/html"},
		{"first-run-page", "/first-run", "The form that spends the first-run link", "text/html"},
		{"openapi", "/openapi.json", "This document", "application/openapi+json"},
	} {
		op := answersOf(huma.Operation{OperationID: page.id, Method: http.MethodGet, Path: page.path,
			Summary: page.summary, Tags: []string{"public"}}, http.StatusOK, page.mediaType, text)
		switch page.id {
		case "code-page":
			op.Parameters = []*huma.Param{{Name: "code", In: "path", Required: true, Schema: text}}
		case "sign-in-page":
			op.Parameters = []*huma.Param{{Name: "to", In: "query", Schema: text}}
		case "first-run-page", "invite-page":
			op.Parameters = []*huma.Param{{Name: "link", In: "query", Schema: text}}
		}
		a.document.AddOperation(&op)
	}
	live := answersOf(huma.Operation{OperationID: "livez", Method: http.MethodGet, Path: "/livez",
		Summary: "Whether the process answers", Tags: []string{"public"}}, http.StatusOK, "application/json",
		&huma.Schema{Type: huma.TypeObject, AdditionalProperties: text})
	a.document.AddOperation(&live)
	ready := answersOf(huma.Operation{OperationID: "readyz", Method: http.MethodGet, Path: "/readyz",
		Summary: "Whether every part is ready", Tags: []string{"public"}}, http.StatusOK, "application/json",
		schemaOf[Readiness](a))
	ready.Responses["503"] = &huma.Response{Description: http.StatusText(http.StatusServiceUnavailable),
		Content: ready.Responses["200"].Content}
	a.document.AddOperation(&ready)

	problem := &huma.Response{Description: "A problem", Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: schemaOf[Problem](a)}}}
	for _, item := range a.document.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post} {
			if op == nil {
				continue
			}
			op.Responses["default"] = problem
			if op.RequestBody != nil {
				// The raw bytes are read beside the JSON, to compare repeated requests.
				delete(op.RequestBody.Content, "application/octet-stream")
			}
			for _, p := range op.Parameters {
				// A missing key has its own problem, so huma does not demand it.
				if p.In == "header" && p.Name == "Idempotency-Key" {
					p.Required = true
				}
			}
		}
	}
}

// rawAnswer is an answer whose bytes are written as they are.
type rawAnswer struct {
	Status      int
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

func rawJSON(status int, body []byte) *rawAnswer {
	return &rawAnswer{Status: status, ContentType: "application/json", Body: body}
}

// writeJSON answers outside of huma.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, _ := json.Marshal(v) // of plain fields: cannot fail
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
