# Everything a contributor types. On a Debian machine with Go and make alone,
# `make bake` and `make test` install what else they need.

GO     ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS = -s -w -X main.version=$(VERSION)
BUILD   = $(GO) build -trimpath -ldflags '$(LDFLAGS)'

BASELINE ?= debian-12-nginx
ARCHS    := amd64 arm64
# How long one package's tests may take before they count as hung.
TEST_TIMEOUT ?= 60m
# Emulated machines want a processor each, and starve beside anything else: their
# package has all of them, and the others come after it.
MACHINES := ./builder/proofboot
FUZZTIME ?= 30s

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.7
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4
NFPM        := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4

export CGO_ENABLED := 0
export GOTOOLCHAIN := local

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: bake
bake: host-bake bin/imgbuild ## install what is missing, build imgbuild, bake BASELINE
	bin/imgbuild bake $(BASELINE)

.PHONY: test
test: host-bake host-test ## install what is missing, pass every test
	@failed=0; for packages in $(MACHINES) "$$($(GO) list ./... | grep -v '/proofboot$$')"; do \
	  $(GO) test -vet off -timeout $(TEST_TIMEOUT) $$packages || failed=1; done; exit $$failed # lint vets

.PHONY: boot-test
boot-test: host-bake host-test ## boot the shipped baselines under every firmware, and tell how it goes
	$(GO) test -timeout $(TEST_TIMEOUT) -count 1 -v $(MACHINES)

.PHONY: lynis
lynis: host-bake host-test ## have Lynis audit a booted debian-12-nginx, and tell its index
	IMGBUILD_TEST_LYNIS=1 $(GO) test -timeout $(TEST_TIMEOUT) -count 1 -v -run '^TestLynis$$' $(MACHINES)

.PHONY: bin/imgbuild
bin/imgbuild: # and what imgbuild check sends to servers
	$(BUILD) -o $@ ./cmd/imgbuild
	$(BUILD) -o $@-guest ./cmd/imgbuild-guest

.PHONY: build
build: ## build every binary for every architecture, in bin/
	@for arch in $(ARCHS); do for dir in cmd/*/; do \
	  name=$$(basename $$dir); echo "building $$name for linux/$$arch"; \
	  GOOS=linux GOARCH=$$arch $(BUILD) -o bin/$$name-linux-$$arch ./$$dir || exit 1; \
	done; done
	@echo "building imgbuild-guest for windows/amd64"
	@GOOS=windows GOARCH=amd64 $(BUILD) -o bin/imgbuild-guest-windows-amd64.exe ./cmd/imgbuild-guest

# host-bake and host-test install the missing packages of their kind.
.PHONY: host-bake host-test
host-bake host-test: host-%:
	@missing=$$(sed -En "s/^$*(-$$(dpkg --print-architecture))? //p" ci/package/host-packages | while read -r name; do \
	  dpkg-query -W -f '$${db:Status-Status}' "$$name" 2>/dev/null | grep -qx installed || echo "$$name"; done); \
	[ -z "$$missing" ] && exit 0; \
	root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	if [ -n "$$root" ] && ! command -v sudo >/dev/null; then \
	  echo "missing here, and there is no sudo: as root, run: apt-get install" $$missing >&2; exit 1; fi; \
	echo "installing" $$missing; \
	$$root apt-get update -qq && \
	$$root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null

.PHONY: lint
lint: ## formatting, vet, staticcheck, templates, known vulnerabilities
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './.cache/*')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:" $$unformatted >&2; exit 1; fi
	$(GO) vet ./...
	GOOS=windows $(GO) vet ./cmd/imgbuild-guest ./provisioners/system
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(ACTIONLINT) -config-file ci/github/actionlint.yaml ci/github/*.yml
	@./ci/package/govulncheck $(GO) $(GOVULNCHECK)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	@grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go | sed 's/func //'); do \
	    echo "$$dir $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
	  done; done

.PHONY: bench
bench: host-bake host-test bin/imgbuild ## time imgbuild and mmdebstrap in turn; ROUNDS=5
	.ci/bench bin/imgbuild

.PHONY: docs
docs: ## write the generated pages of docs/ again
	$(GO) test ./cmd/imgbuild -run TestReferencePagesAreCurrent -count 1 -update

.PHONY: dist
dist: ## static binaries, .deb, .rpm and checksums, in dist/
	rm -rf dist && mkdir -p dist/completion
	@for arch in $(ARCHS); do echo "building imgbuild for linux/$$arch"; \
	  GOOS=linux GOARCH=$$arch $(BUILD) -o dist/imgbuild-linux-$$arch ./cmd/imgbuild || exit 1; done
	@for target in linux/amd64 linux/arm64 windows/amd64; do echo "building imgbuild-guest for $$target"; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(BUILD) -o dist/imgbuild-guest-$$(echo $$target | tr / -) ./cmd/imgbuild-guest || exit 1; done
	mv dist/imgbuild-guest-windows-amd64 dist/imgbuild-guest-windows-amd64.exe
	@host=dist/imgbuild-linux-$$($(GO) env GOARCH); \
	$$host completion bash > dist/completion/imgbuild.bash && \
	$$host completion zsh > dist/completion/_imgbuild && \
	$$host completion fish > dist/completion/imgbuild.fish
	@for arch in $(ARCHS); do for form in deb rpm; do \
	  ARCH=$$arch VERSION=$(PACKAGE_VERSION) $(GO) run $(NFPM) package --config ci/package/nfpm.yaml --packager $$form --target dist/ || exit 1; \
	done; done
	rm -r dist/completion
	cd dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

# Packages want a version that starts with a digit.
PACKAGE_VERSION = $(shell echo '$(VERSION)' | sed -E 's/^v//; t; s/^/0~/' | sed -E 's/^([0-9]+)~/\1.0.0~/')

.PHONY: clean
clean: ## remove what the other targets made here
	rm -rf bin dist
