package main

import (
	"context"
	"io"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
	"github.com/unlatch/unlatch/store"
)

type openapiCmd struct{}

// Run prints the document that the code emits; api/openapi.json is a copy.
func (openapiCmd) Run(out io.Writer) error {
	// An API that answers nobody: the document needs no part of it.
	a, err := api.New(api.Config{Orders: &order.Service{}, Store: &store.DB{}, Login: weChatLogin{}, Minter: &qr.Minter{}, StopKey: make([]byte, 16),
		Domain: "q.example.cn", Provision: func(context.Context, api.ProvisionRequest) (any, error) { return nil, nil }})
	if err != nil {
		return err
	}
	b, err := a.OpenAPI()
	if err != nil {
		return err
	}
	_, err = out.Write(b)
	return err
}
