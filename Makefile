# make demo    try it        make test   everything, set-up included
# make check   the fast one  make build  bin/unlatch
GO ?= go
export GOFLAGS ?=
PACKAGES := $(shell $(GO) list ./... 2>/dev/null)
TOOLS := $(CURDIR)/bin/tools

.PHONY: demo build test check setup fmt generate clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/unlatch ./cmd/unlatch

demo: setup build
	./bin/unlatch demo $(ARGS)

# What the tests and the demo need besides Go: Postgres' server programs. The
# default cluster of Debian's package is not wanted.
setup:
	@./deploy/setup.sh

# The race detector needs cgo; everything else is built without. Tests that look at
# thousands of printed labels find no races and take ten times as long under it: they
# run without.
test: setup
	$(GO) vet ./...
	$(GO) test -timeout 10m ./qr -run 'TestDamagedLabels|TestEveryLabelOf|TestMemoryDoes'
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -parallel 4 -timeout 18m ./...

check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run: make fmt'; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.0 ./...
	$(GO) test ./internal/testkit/architecture ./cmd/unlatch ./order -run 'TestArrows|TestOnlyTheDemo|TestEveryPackage|TestOpenAPI|TestDiagram'

fmt:
	gofmt -w $$(git ls-files '*.go')

# Files that are made from the code and checked in.
generate:
	$(GO) run ./cmd/unlatch openapi > api/openapi.json
	$(GO) test ./order -run TestDiagram -update

clean:
	rm -rf bin

# Plants every bug of internal/sabotage, one after the other.
.PHONY: sabotage
sabotage: setup
	SABOTAGE=all $(GO) test -count=1 -v -timeout 60m ./internal/sabotage -run TestPlantedBugsAreCaught
