# The agreement proof of taint plans: the plan against the real controllers (see test/taints).
#   make agree-taints N=500 SEED=1

SEED ?= 1
# N has another default for other proofs.
WORLDS = $(if $(filter file,$(origin N)),500,$(N))

.PHONY: agree-taints
agree-taints: lab-build ## Plan N changes of taints on generated fleets, make them, and compare with what the real controllers do.
	$(GO) test ./test/taints -count=1 -timeout=3h -v -args -n=$(WORLDS) -seed=$(SEED)
