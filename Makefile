# Blackout's own commands. "make" alone lists them; the program itself is
# bin/blackout, built anew by every target that needs it (a second when nothing
# changed).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

#= release of Longhorn that the cluster gets
LONGHORN ?= v1.7.2
#= checkout of longhorn-manager to run in place of that release's manager
LONGHORN_MANAGER_SRC ?=
#= where images come from: auto, registry or module
IMAGES ?= auto
#= name of the cluster that "make cluster" makes: blackout-<CLUSTER>
CLUSTER ?= lab
#= nodes of that cluster: control planes
CONTROL_PLANES ?= 1
#= nodes of that cluster: workers
WORKERS ?= 2
#= Longhorn volumes in that cluster
VOLUMES ?= 4
#= what "make run" and "make repro" do: a file, or a name in scenarios/
SCENARIO ?= scenarios/issue-9978.yaml
#= number of backups, instead of the scenario's own
BACKUPS ?=
#= what becomes of unsynced writes, instead of the scenario's own: drop or keep (keep needs no loop devices)
UNSYNCED ?=
#= seed of every random choice, instead of the scenario's own
SEED ?=
#= further flags of "blackout run", such as --context for an existing cluster
RUN_ARGS ?=
#= release that "make qualify" compares the candidate with
BASELINE ?= v1.7.2
#= release that "make qualify" qualifies
CANDIDATE ?= v1.8.1
#= checkout of longhorn-manager that the candidate runs, of the release that CANDIDATE names
CANDIDATE_SRC ?=
#= pairs of runs of "make qualify"; three are the least that a verdict needs
N ?= 3
#= rungs of the size ladder: numbers of backups
RUNGS ?= 250 500 1000 2000
#= set to 1: doctor prints JSON
JSON ?=
#= set to 1: clean also stops the container engine, if Blackout started it
ENGINE ?=
#= flags for go test, such as -count=1 or -race
TESTFLAGS ?=
#= which specs of the Ginkgo suite run, by label: ground, smoke, nightly, qualification, issue-9978
LABELS ?= ground
#= how often "make test-power" cuts its containers
CUTS ?= 20
#= flags for the Ginkgo suite, such as -ginkgo.dry-run
E2E_ARGS ?=
#= processes of the Ginkgo suite, each with one cluster at a time (4 GiB and 2 cores for each)
PROCS ?= 1
#= numbers of backups that "make bench" has counted; 100000 take a quarter of an hour
BENCH_SIZES ?= 1000 4000 10000
#= time after which the Ginkgo suite gives up and cleans up
E2E_SUITE_TIMEOUT ?= 78m
#= time after which go test kills the suite
E2E_TIMEOUT ?= 85m
#= directory that runs and test-e2e write results to
RESULTS ?= results
#= set to 1: repro leaves its cluster, and uses the one that it left; only the manager is replaced
KEEP ?=
#= repro runs the short form of SCENARIO if there is one; empty: the whole
QUICK ?= 1
#= record that "make track" appends to
TRACK ?= $(RESULTS)/track.jsonl

# The suite and the program read these from the environment.
export LONGHORN_MANAGER_SRC

bin := bin/blackout
request := --longhorn '$(LONGHORN)' --images '$(IMAGES)'
# what is to be run, and what is changed in it
changed := $(if $(UNSYNCED),--unsynced-writes '$(UNSYNCED)') $(if $(SEED),--seed '$(SEED)')
chosen := --scenario '$(SCENARIO)' $(if $(BACKUPS),--backups '$(BACKUPS)') $(changed)

##@ Start here

.PHONY: help
help: ## list the targets and variables
	@awk ' \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { name = $$0; sub(/:.*/, "", name); text = $$0; sub(/.*## /, "", text); printf "  make %-16s %s\n", name, text } \
		/^#= / { text = substr($$0, 4) } \
		/^[A-Z0-9_]+ \?=/ { value = $$0; sub(/^[^=]*= */, "", value); variable[++n] = sprintf("  %-21s %s%s", $$1, text, value == "" ? "" : " (default " value ")") } \
		END { print "\nVariables: make cluster WORKERS=3"; for (i = 1; i <= n; i++) print variable[i] } \
	' $(MAKEFILE_LIST)

.PHONY: doctor
doctor: build ## say what this machine lacks and how to get it; JSON=1 for machines
	@exec $(bin) doctor $(if $(JSON),--json)

##@ Clusters

.PHONY: engine
engine: build ## make sure a container engine answers; root on Debian gets one
	@exec $(bin) engine

.PHONY: images
images: build ## build or pull the images of LONGHORN, and nothing else
	@exec $(bin) images $(request)

.PHONY: cluster
cluster: build ## make a kind cluster with a healthy Longhorn in it
	@exec $(bin) cluster $(request) --name '$(CLUSTER)' --control-planes '$(CONTROL_PLANES)' --workers '$(WORKERS)' --volumes '$(VOLUMES)'

.PHONY: clean
clean: build ## remove what any run left, alive or killed; ENGINE=1 stops the engine too
	@exec $(bin) clean $(if $(ENGINE),--engine)

##@ Runs

.PHONY: run
run: build ## run SCENARIO on LONGHORN and judge it: exit code 0 as expected, 1 violation, 2 inconclusive, 3 infrastructure
	@exec $(bin) run $(request) $(chosen) --results '$(RESULTS)' $(RUN_ARGS)

.PHONY: qualify
qualify: build ## run BASELINE and CANDIDATE N times in turn and compare them: exit code 0 better or same, 1 worse, 2 cannot tell, 3 infrastructure (slow)
	@exec $(bin) qualify --baseline '$(BASELINE)' --candidate '$(CANDIDATE)' --candidate-src '$(CANDIDATE_SRC)' --n '$(N)' --images '$(IMAGES)' \
		$(chosen) --results '$(RESULTS)'

.PHONY: repro
repro: build ## run SCENARIO with the manager of LONGHORN_MANAGER_SRC, in its short form; KEEP=1: again in minutes
	@exec $(bin) run $(request) $(chosen) --results '$(RESULTS)' $(if $(QUICK),--quick) $(if $(KEEP),--reuse repro) $(RUN_ARGS)

.PHONY: track
track: build ## append the verdicts in RESULTS to the record TRACK, and compare them with the nights before
	@runs=$$(find '$(RESULTS)' -mindepth 2 -maxdepth 2 -name verdict.json -printf '%h\n' | sort); \
	if [[ -z $$runs ]]; then echo "no verdict.json in the directories of $(RESULTS): nothing to record" >&2; exit 3; fi; \
	mapfile -t runs <<<"$$runs"; \
	exec $(bin) track --record '$(TRACK)' "$${runs[@]}"

.PHONY: ladder
ladder: build ## run the rungs of the size ladder and fit what a waiting backup costs (slow)
	@dir='$(RESULTS)/ladder/'$$(date -u +%Y%m%d-%H%M%S); \
	mkdir -p '$(RESULTS)/ladder'; \
	mkdir "$$dir"; \
	for n in $(RUNGS); do \
		code=0; \
		$(bin) run $(request) --scenario scenarios/ladder.yaml --backups "$$n" $(changed) --results "$$dir" || code=$$?; \
		if ((code > 2)) || ! compgen -G "$$dir/ladder-$$n-*/verdict.json" >/dev/null; then \
			echo "the rung of $$n backups failed: what there is of the ladder is in $$dir" >&2; \
			exit 3; \
		fi; \
	done; \
	exec $(bin) fit "$$dir"/*/ # a rung that is a violation or inconclusive (1, 2) is still data

.PHONY: demo
demo: build ## judge the saved history of a real run, in seconds and without any engine
	@exec $(bin) judge fixtures/demo/issue-9978-v1.7.2

##@ Tests

.PHONY: test
test: test-unit test-podnet ## run the unit tests; no cluster, no root

.PHONY: test-unit
test-unit: go ## run the unit tests of the root module only
	env -u BLACKOUT_E2E go test $(TESTFLAGS) ./...

.PHONY: test-podnet
test-podnet: go ## run the unit tests of the nodes' pod network only
	cd fixtures/kubernetes && CGO_ENABLED=0 go test -trimpath $(TESTFLAGS) ./podnet/... # flags as in the build: nothing is compiled twice

.PHONY: bench
bench: go ## measure what the harness costs and what it can see, as ratios
	@mkdir -p bin && go build -o bin/bench ./e2e/bench && exec bin/bench --sizes '$(BENCH_SIZES)'

# One process runs under "go test"; several take Ginkgo's own program, which
# merges what they report. Each makes clusters under names of its own; engine and
# images are made by whoever comes first, and the others wait for them.
suite_env = BLACKOUT_E2E=1 LONGHORN='$(LONGHORN)' IMAGES='$(IMAGES)' RESULTS='$(abspath $(RESULTS))'

.PHONY: test-e2e
test-e2e: go ## run the Ginkgo suite on kind (slow: up to 80 minutes from nothing)
	@mkdir -p '$(RESULTS)'
ifeq ($(PROCS),1)
	$(suite_env) go test ./e2e -run TestE2E -count=1 -timeout '$(E2E_TIMEOUT)' -v -args \
		-ginkgo.v -ginkgo.fail-on-empty -ginkgo.timeout='$(E2E_SUITE_TIMEOUT)' -ginkgo.label-filter='$(LABELS)' \
		-ginkgo.junit-report='$(abspath $(RESULTS))/junit.xml' $(E2E_ARGS)
else
	$(suite_env) go tool ginkgo run --procs='$(PROCS)' \
		-v --fail-on-empty --timeout='$(E2E_SUITE_TIMEOUT)' --label-filter='$(LABELS)' \
		--output-dir='$(abspath $(RESULTS))' --junit-report=junit.xml $(subst -ginkgo.,--,$(E2E_ARGS)) ./e2e
endif

.PHONY: test-power
test-power: go ## cut real containers with real disks, as root (a few minutes)
	BLACKOUT_E2E=1 BLACKOUT_TEST_CUTS='$(CUTS)' go test ./e2e/cluster/kind -run '^TestReal' -count=1 -timeout 20m -v

##@ Code

.PHONY: build
build: go ## compile bin/blackout
	@go build -o $(bin) ./e2e/cmd/blackout

.PHONY: lint
lint: go ## run golangci-lint, actionlint, shellcheck and shfmt
	@scripts/lint.sh

.PHONY: vet-kubernetes
vet-kubernetes: go ## run go vet over fixtures/kubernetes (slow: compiles Kubernetes)
	cd fixtures/kubernetes && go vet ./...

.PHONY: fmt
fmt: go ## format Go and shell
	bin=$$(scripts/tools.sh) && "$$bin/golangci-lint" fmt && "$$bin/shfmt" -f .ci e2e fixtures scripts | xargs "$$bin/shfmt" -w

.PHONY: go
go:
	@command -v go >/dev/null || { echo "go is not in PATH: install Go, version $$(sed -n 's/^go //p' go.mod) or newer (go.dev/doc/install)" >&2; exit 1; }
