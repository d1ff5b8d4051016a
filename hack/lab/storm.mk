# The quota's proofs: never over, hours right, and as fast as native ResourceQuota (see test/storm, test/bench/quota).
#   make storm MINUTES=20 SEED=1

MINUTES ?= 20
SEED ?= 1

.PHONY: storm bench-quota

storm: ## Let 64 clients storm a quota for MINUTES while everything is killed; then check its hours.
	$(GO) test ./test/storm -count=1 -timeout=3h -v -args -minutes=$(MINUTES) -seed=$(SEED)

bench-quota: ## Measure admission by quota beside native ResourceQuota.
	$(GO) test ./test/bench/quota -count=1 -timeout=2h -v -args -creates=4096 -rounds=5 -groups=10000
