# The agreement proof: Stowage against the real kube-scheduler (see test/agree).
#   make agree N=3000 SEED=1

N ?= 3000
SEED ?= 1

.PHONY: agree
agree: ## Compare N pods on generated clusters with the real kube-scheduler.
	$(GO) test ./test/agree -count=1 -timeout=3h -v -args -n=$(N) -seed=$(SEED)
