# make demo    try it        make test   everything, set-up included
# make check   the fast one  make build  bin/unlatch
GO ?= go
export GOFLAGS ?=
PACKAGES := $(shell $(GO) list ./... 2>/dev/null)
TOOLS := $(CURDIR)/bin/tools

.PHONY: demo build test test-pages check setup setup-tests fmt generate vendor-web clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/unlatch ./cmd/unlatch

demo: setup build
	./bin/unlatch demo $(ARGS)

# What the demo needs besides Go: Postgres' server programs. The default cluster of
# Debian's package is not wanted. The tests also read printed labels and look at pages.
setup:
	@./deploy/setup.sh

setup-tests:
	@./deploy/setup.sh tests

# The race detector needs cgo; everything else is built without. Tests that look at
# thousands of printed labels, or play hundreds of schedules on one goroutine, find no
# races and take ten times as long under it: they run without.
test: setup-tests
	$(GO) vet ./...
	$(GO) test -timeout 10m ./qr ./internal/world -run 'TestDamagedLabels|TestEveryLabelOf|TestMemoryDoes|TestFiveHundredSchedules'
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -p 3 -parallel 4 -timeout 18m ./...
	@$(MAKE) --no-print-directory test-pages

# The pages in a real browser and the mini-program's compiled code, each against the
# real server with simulated devices; the console's beside the others, since all of them
# wait more than they compute. Without npm they are left out, but where CI=true.
PART = (cd $(1) && npm ci --no-audit --no-fund --loglevel=error && npm run --if-present check && UNLATCH_BIN=$(CURDIR)/bin/unlatch-test npm test)
test-pages: setup-tests
	@command -v npm >/dev/null || [ -n "$$CI" ] || { echo 'no npm here: the tests of the pages and of the mini-program are left out'; exit 0; }; \
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/unlatch-test ./cmd/unlatch && { \
		$(call PART,console/browser) > bin/console.log 2>&1 & console=$$!; \
		echo '== rider/browser' && $(call PART,rider/browser) && echo '== miniprogram' && $(call PART,miniprogram); others=$$?; \
		wait $$console; console=$$?; echo '== console/browser'; cat bin/console.log; \
		[ $$console -eq 0 ] && [ $$others -eq 0 ]; }

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

# The libraries of the console, as they were published: name, version, file there, file
# here, SHA-256, licence. Another sum stops it; a newer version begins in VENDOR.txt.
vendor-web:
	@t=$$(mktemp -d) && trap "rm -rf $$t" EXIT && grep -E '^[^ ]+ [0-9]' console/web/vendor/VENDOR.txt | while read -r name version from to sum licence; do \
		f=$$t/$$(echo "$$name-$$version" | tr -d @ | tr / -).tgz; \
		[ -e "$$f" ] || (cd $$t && npm pack --silent "$$name@$$version" >/dev/null) || exit 1; \
		tar -xOf "$$f" "package/$$from" > $$t/file && echo "$$sum  $$t/file" | sha256sum --check --status || { echo "$$name@$$version $$from is not what VENDOR.txt says"; exit 1; }; \
		cp $$t/file console/web/vendor/$$to && echo "$$to: $$name@$$version"; \
	done

clean:
	rm -rf bin

# Plants every bug of internal/sabotage, one after the other.
.PHONY: sabotage
sabotage: setup-tests
	SABOTAGE=all $(GO) test -count=1 -v -timeout 60m ./internal/sabotage -run TestPlantedBugsAreCaught
