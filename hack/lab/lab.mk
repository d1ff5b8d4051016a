# A real control plane on this machine, with a fleet on it. See hack/lab/main.go and test/lab/doc.go.
LAB_NAME ?= stowage
FLEET ?= $(if $(QUOTA),$(DEMO),example)

.PHONY: lab lab-down lab-build

lab: ## Start the lab LAB_NAME with FLEET (example, openb, none, a dump) and write .lab/kubeconfig; QUOTA=1 runs the quota component.
	@go run ./hack/lab up --name $(LAB_NAME) --fleet $(FLEET) $(if $(QUOTA),--quota)

lab-down: ## End the lab LAB_NAME
	@go run ./hack/lab down --name $(LAB_NAME)

lab-build: ## Build the lab's binaries, once a version
	@hack/lab/build.sh >/dev/null
