# The only task runner. `make` alone lists the targets; .ci/run calls `make ci`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .build/release
JOBS ?= 2
# What declares a part of the package stands where it is wanted: left over in somebody's shell it would pass a part off as the whole.
unexport WEFT_TESTS WEFT_ONLY
export WEFT_PARTNERS ?= $(HOME)/.cache/weft-partners
# Tests that wait for a peer wait behind all that were begun: few at a time, or their deadlines pass.
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH ?= 4

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-demo release-tools ## the bookstore behind sidecars, under load, with every check printed (KEEP=1 leaves it running)
	@Examples/01-bookstore/demo.sh

test: setup setup-test debug ## every test: units, golden files, fuzz replays, real partners
	@Tests/run.sh

unit: setup debug ## unit tests only
	@swift test --skip-build

unit-of: setup ## one test bundle, quickly: make unit-of T=WeftHTTP F='H2 connection' (several: T=WeftHTTP,WeftProxy)
	@WEFT_TESTS=$(T) Tools/quick-build.py --jobs $(JOBS)
	@WEFT_TESTS=$(T) swift test --skip-build --parallel $(if $(F),--filter '$(F)') | tee .build/unit-of.log; \
		code=$${PIPESTATUS[0]}; \
		if grep -q 'Test run with 0 tests' .build/unit-of.log; then echo "no test of $(T) matches '$(F)'" >&2; exit 1; fi; exit $$code

test-diff: setup-test release ## the same configuration and requests for a real Envoy and for weft-proxy: N=routing/ some cases
	@Tests/Differential/run.py $(N)

check: setup ## format, generated code
	@Tools/setup.sh test
	@git ls-files '*.swift' | grep -v /Generated/ | xargs swift format lint --strict --parallel
	@Tools/generate.sh --check

ci: check test ## what continuous integration runs

debug: ## build everything with its tests (without debug information when CI is set)
	@swift build --build-tests $(if $(CI),-Xswiftc -gnone) --jobs $(JOBS) 2>&1 | Tools/progress.sh

# Without frame pointers: 4.6 % fewer instructions per request. FRAMES=1 keeps them, for profilers that walk stacks by them.
optimised = swift build -c release $(if $(FRAMES),,--omit-frame-pointers) --static-swift-stdlib -Xlinker --gc-sections -Xswiftc -cross-module-optimization $(if $(CI),-Xswiftc -gnone) --jobs $(JOBS) 2>&1 | Tools/progress.sh

release: setup ## build the programs as shipped: optimised, Swift runtime linked in
	@WEFT_ONLY=programs $(optimised)

release-tools: setup ## the same, and the tools and examples that demonstration, benchmark and partner cases start
	@WEFT_ONLY=tools $(optimised)

fuzz: setup ## fuzz one parser: make fuzz T=http1|http2|hpack|preamble|hello|dubbo|authz|protobuf|yaml S=60
	@Fuzz/run.sh "$(T)" "$(S)"

sim: $(if $(FAST),sim-bundle,debug) ## simulated meshes: SEED=7 one seed aloud, N=1000 many (from SEED on), W=Hostile|DataPlane|ConfigStorm|ControlPlane one world, FAST=1 optimised
	@if [ -n "$(SEED)" ] && [ -z "$(N)" ]; then \
		WEFT_SEED=$(SEED) $(sim_build)/weftPackageTests.xctest --testing-library swift-testing --filter '$(W)SimulationTests/seeds'; \
	else \
		Tests/Simulation/run.py --build $(sim_build) --count $(or $(N),200) --first $(or $(SEED),1) --jobs $(JOBS) $(if $(W),--world $(W)); \
	fi

sim_build = $(if $(FAST),.build/sim/release,.build/debug)

# Optimised, in a folder of its own; every assertion is still checked.
sim-bundle:
	@WEFT_TESTS=Simulation swift build -c release --scratch-path .build/sim --product weftPackageTests --jobs $(JOBS) \
		-Xswiftc -enable-testing -Xswiftc -assert-config -Xswiftc Debug 2>&1 | Tools/progress.sh

hostile: setup-test release ## random hostile traffic against a live weft-proxy: N=20 rounds of S=60 seconds, SEED=1; PROXY=.build/debug/weft-proxy another one
	@Tests/Partners/hostile/run.py --rounds $(or $(N),20) --seconds $(or $(S),60) --seed $(or $(SEED),1) $(if $(PROXY),--proxy $(PROXY))

bench: setup setup-bench release-tools ## our proxy beside nginx, HAProxy, Envoy and a raw relay; prints ratios
	@Benchmarks/run.py $(ARGS)

gen: ## rewrite generated code from Protos/
	@Tools/generate.sh

docs: debug ## rewrite docs/reference from the code
	@Tools/docs.sh

golden-update: debug ## rewrite golden files; read the diff before committing
	@WEFT_GOLDEN_UPDATE=1 swift test --skip-build --filter Golden

setup: ## install what building needs
	@Tools/setup.sh build

setup-test: ## install what the tests need: tools and real partners
	@Tools/setup.sh build test
	@Tests/Partners/setup.sh

setup-demo: ## install what the demonstration needs
	@Tools/setup.sh build demo

setup-bench: setup-test ## install the peers of the benchmark
	@Tools/setup.sh bench

clean: ## remove build products
	@rm -rf .build

.PHONY: help demo test unit unit-of test-diff check ci debug release release-tools fuzz sim sim-bundle hostile bench gen docs golden-update setup setup-test setup-demo setup-bench clean
