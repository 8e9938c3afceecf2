package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/unlatch/unlatch/order"
)

// secretLength is the base64url text of 32 bytes.
const secretLength = 43

type riderKey struct{}

// login is a rider with the token that they came with.
type login struct {
	rider string
	token [32]byte
}

type staffKey struct{}

// riderOf returns who asks; the gate has put it there.
func riderOf(ctx context.Context) login {
	l, _ := ctx.Value(riderKey{}).(login)
	return l
}

// staffOf returns who asks; the gate has put it there.
func staffOf(ctx context.Context) order.Staff {
	s, _ := ctx.Value(staffKey{}).(order.Staff)
	return s
}

// bearer returns the secret of the Authorization header, "" when there is none of
// the right form.
func bearer(header, prefix string) string {
	scheme, secret, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	secret = strings.TrimSpace(secret)
	if !strings.HasPrefix(secret, prefix) || len(secret) != len(prefix)+secretLength {
		return ""
	}
	return secret
}

// riderGate lets riders with a valid token through.
func (a *API) riderGate(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if openToRiders[ctx.Operation().OperationID] {
		next(ctx)
		return
	}
	l, err := a.authenticateRider(r)
	if err == nil {
		err = a.riders.take(l.rider, time.Now())
	}
	if err != nil {
		a.refuse(w, r, "rider gate", err)
		return
	}
	next(huma.WithValue(ctx, riderKey{}, l))
}

func (a *API) authenticateRider(r *http.Request) (login, error) {
	token := bearer(r.Header.Get("Authorization"), "")
	if token == "" {
		return login{}, errUnauthenticated
	}
	hash := HashSecret(token)
	rider, err := a.Store.RiderByToken(r.Context(), hash)
	if err != nil {
		return login{}, instead(err, errUnauthenticated)
	}
	return login{rider, hash}, nil
}
