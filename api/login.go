package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (a *API) loginRoutes(h huma.API) {
	op := forRiders("login", http.MethodPost, "/v1/login", "Turn a login code into a token")
	register(a, h, op, a.login)
	register(a, h, forRiders("logout", http.MethodPost, "/v1/logout", "End this login"), a.logout)
}

// LoginBody is a login's request.
type LoginBody struct {
	LoginCode string `json:"login_code" minLength:"1" maxLength:"256" doc:"From wx.login"`
}

// LoginAnswer is a login's answer.
type LoginAnswer struct {
	Token string   `json:"token" doc:"For the Authorization header, after Bearer"`
	Rider RiderRef `json:"rider"`
}

// RiderRef names a rider.
type RiderRef struct {
	ID string `json:"id"`
}

type loginInput struct{ Body LoginBody }

type loginOutput struct{ Body LoginAnswer }

func (a *API) login(ctx context.Context, in *loginInput) (*loginOutput, error) {
	identity, err := a.Login.Exchange(ctx, in.Body.LoginCode)
	if err != nil {
		return nil, err
	}
	rider, err := a.Store.RiderByIdentity(ctx, identity)
	if err != nil {
		return nil, err
	}
	token, hash := NewSecret("")
	if err := a.Store.AddToken(ctx, rider, hash, a.TokenLife); err != nil {
		return nil, err
	}
	return &loginOutput{LoginAnswer{Token: token, Rider: RiderRef{rider}}}, nil
}

func (a *API) logout(ctx context.Context, _ *struct{}) (*struct{}, error) {
	l := riderOf(ctx)
	return nil, a.Store.RevokeTokens(ctx, l.rider, &l.token)
}
