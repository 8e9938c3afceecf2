package main

import (
	"bytes"
	"os"
	"testing"
)

// TestOpenAPIIsCurrent compares the checked-in document with what the code says.
func TestOpenAPIIsCurrent(t *testing.T) {
	var now bytes.Buffer
	if err := (openapiCmd{}).Run(&now); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(now.Bytes(), kept) {
		t.Error("api/openapi.json is not what the code emits; run: make generate")
	}
}
