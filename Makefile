# staunch: every target that a person or CI calls. Real work is in scripts/.
SHELL := /bin/sh
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GO := CGO_ENABLED=0 go
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: build run check test lint fuzz bench peers soak night release clean

build: ## bin/staunch and the host parts it sends to hosts
	@mkdir -p bin/host
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/staunch ./cmd/staunch
	@scripts/host-parts '$(LDFLAGS)' bin/host

run: build ## the main job on this machine: which running processes are affected
	@bin/staunch scan || [ $$? -ne 2 ]

check: ## the quick loop: no apt, no race, no real parts
	go vet ./...
	go test -short -shuffle=on ./...

test: ## everything: installs what the tests need, then runs them all
	scripts/test

lint: ## golangci-lint and gofumpt, pinned in tools/, built once into a cache
	$$(scripts/tool golangci-lint) run --allow-serial-runners ./...

fuzz: ## every fuzz target for FUZZTIME each (default 30s)
	scripts/fuzz $(FUZZTIME)

bench: ## against the peers from Debian, on this machine; prints ratios
	scripts/bench

peers: ## writes golden lists from slow peers (testssl.sh and others)
	scripts/peers

soak: ## what chance decides, many times over: random kills, random fleets, the night on real hosts
	scripts/soak

night: ## the whole night on real test hosts; keeps its output in docs/
	scripts/night

release: ## static, reproducible binaries with checksums and an SBOM in dist/
	scripts/release '$(VERSION)'

clean: ## what the targets above left
	rm -rf bin dist
