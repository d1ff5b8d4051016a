# Stowage: kubectl plugins for capacity and scheduling. `make help` lists the targets.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
TOOLS := bin/tools
DEMO := examples/fleet.yaml
IMAGE ?= stowage-dev/stowage-manager:$(shell git describe --tags --always --dirty)
PLATFORMS ?= linux/$(shell $(GO) env GOARCH)

##@ Development

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z0-9_-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build every binary into bin/.
	$(GO) build -buildvcs=auto -trimpath -o bin/ ./cmd/...

.PHONY: test
test: lab-build ## Vet and run all tests; the first run builds the lab's control plane.
	$(GO) vet ./...
	$(GO) test -timeout 40m $$($(GO) list ./... | grep -v /test/)
	$(GO) test -timeout 40m -p 1 $$($(GO) list ./test/... | grep -v /test/storm) # one control plane at a time
	$(GO) test -timeout 20m ./test/storm # alone: what it measures is only as good as the machine is idle

.PHONY: test-fast
test-fast: ## Run the tests that need no control plane.
	$(GO) test -short $$($(GO) list ./... | grep -v /test/)

.PHONY: bench
bench: build ## Measure the engine, then whole commands on a control plane (see docs/performance.md).
	$(GO) test -run '^$$' -bench . -timeout 60m ./test/bench
	$(GO) run ./test/bench/compare

.PHONY: demo
demo: build ## Explain the example fleet, its quotas, and a change of its taints, without a cluster.
	bin/kubectl-why_pending --snapshot $(DEMO) --all -A
	@echo
	bin/kubectl-why_pending --snapshot $(DEMO) -n nlp
	@echo
	bin/kubectl-quota tree --snapshot $(DEMO)
	@echo
	bin/kubectl-quota check -f examples/finetune.yaml --snapshot $(DEMO)
	@echo
	bin/kubectl-taint_plan nodes t4-01 t4-02 t4-03 a30-01 a30-02 maintenance=true:NoSchedule maintenance=true:NoExecute \
	  --waves auto --timeline --snapshot $(DEMO) || [[ $$? == 1 ]] # as for kubectl diff, 1 is: something changes

##@ Checks and generated files

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Lint the code.
	$(TOOLS)/golangci-lint run ./...

.PHONY: generate
generate: $(TOOLS)/controller-gen ## Write all generated files.
	hack/update-all.sh

.PHONY: verify
verify: $(TOOLS)/controller-gen ## Check that all generated files are up to date.
	hack/verify-all.sh

.PHONY: update-golden
update-golden: ## Record the golden files of the command tests.
	$(GO) test ./plugins/... -run 'Golden|Guide' -update

##@ Release

.PHONY: dist
dist: $(TOOLS)/goreleaser ## Build the release archives into dist/, without publishing.
	$(TOOLS)/goreleaser release --snapshot --clean

.PHONY: image
image: $(foreach platform,$(PLATFORMS),bin/image/$(platform)/stowage-manager) ## Build the component's image into dist/: an OCI layout, and a tar for ctr images import.
	cd hack/tools/release && $(GO) run ./image -tag $(IMAGE) -layout $(CURDIR)/dist/image -archive $(CURDIR)/dist/stowage-manager.tar \
	  $(foreach platform,$(PLATFORMS),$(platform)=$(CURDIR)/bin/image/$(platform)/stowage-manager)

.PHONY: FORCE
bin/image/%/stowage-manager: FORCE
	CGO_ENABLED=0 GOOS=$(firstword $(subst /, ,$*)) GOARCH=$(word 2,$(subst /, ,$*)) $(GO) build -buildvcs=auto -trimpath -ldflags '-s -w' -o $@ ./cmd/stowage-manager

##@ Tools

.PHONY: tools
tools: $(addprefix $(TOOLS)/,controller-gen golangci-lint goreleaser validate-krew-manifest) ## Build every tool into bin/tools.

$(TOOLS)/controller-gen: hack/tools/codegen/go.mod
	cd $(<D) && $(GO) build -o $(CURDIR)/$(TOOLS)/ sigs.k8s.io/controller-tools/cmd/controller-gen

$(TOOLS)/golangci-lint: hack/tools/lint/go.mod
	cd $(<D) && $(GO) build -o $(CURDIR)/$(TOOLS)/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(TOOLS)/goreleaser: hack/tools/release/go.mod
	cd $(<D) && $(GO) build -o $(CURDIR)/$(TOOLS)/ github.com/goreleaser/goreleaser/v2

$(TOOLS)/validate-krew-manifest: hack/tools/release/go.mod
	cd $(<D) && $(GO) build -o $(CURDIR)/$(TOOLS)/ sigs.k8s.io/krew/cmd/validate-krew-manifest

# The lab brings its own targets: lab, lab-down, agree.
-include hack/lab/*.mk
