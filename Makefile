# Two commands are enough: `make demo` to see it, `make test` to trust it.
PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.runtime.stamp
DEV := .venv/.dev.stamp
# The packages as a wheel has them, with the relay compiled: needs a C compiler.
COMPILED := .venv/compiled
SOURCES := $(shell find gateway lifecycle placement runtimes -type f -not -name '*.pyc')

.PHONY: demo setup tools compiled test test-compiled check format model chaos fuzz loadtest bench profile bench-placement bench-wake bench-egress density clean
.DEFAULT_GOAL := setup

setup: $(RUN)

$(RUN): requirements.lock pyproject.toml
	@$(PYTHON) scripts/setup.py requirements.lock
	@touch $@

$(DEV): requirements-dev.lock $(RUN)
	@$(PYTHON) scripts/setup.py requirements-dev.lock
	@touch $@

demo: $(RUN)
	@$(BIN)/rouse up --demo $(ARGS)

tools: $(DEV)
	@scripts/tools

compiled: $(COMPILED)/.stamp

$(COMPILED)/.stamp: $(SOURCES) hatch_build.py pyproject.toml $(DEV)
	@echo compiling the relay
	@rm -rf $(COMPILED)
	@ROUSE_COMPILE=1 $(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --target $(COMPILED) .
	@touch $@

test: $(DEV)
	$(BIN)/pytest -q $(ARGS)

# What passes through the compiled modules, by the tests that the sources pass.
test-compiled: $(COMPILED)/.stamp
	PYTHONPATH=$(COMPILED) $(BIN)/pytest -q --compiled --import-mode=append $(ARGS) \
		tests/gateway/ingress tests/gateway/wiring tests/contract/test_codec.py \
		tests/lifecycle/host tests/system/test_wake.py tests/system/test_race.py

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(COMPILED)/.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/mirror.py
	$(BIN)/pytest -q $(ARGS)
	$(MAKE) --no-print-directory test-compiled

model: $(DEV)
	@$(BIN)/python -m tests.model

chaos: $(DEV)
	@$(BIN)/python -m tests.chaos $(ARGS)

fuzz: $(DEV)
	ROUSE_FUZZ=$${ROUSE_FUZZ:-100000} $(BIN)/pytest -q --timeout=0 tests/contract/test_codec.py $(ARGS)

loadtest: $(DEV)
	@$(BIN)/python -m loadtest $(ARGS)

bench: $(COMPILED)/.stamp
	@$(BIN)/python -m loadtest.bench $(ARGS)

profile: $(DEV)
	@$(BIN)/python -m loadtest.bench.profiling $(ARGS)

bench-placement: $(DEV)
	@$(BIN)/python -m scripts.bench_placement $(ARGS)

bench-wake: $(DEV)
	@$(BIN)/python -m scripts.bench_wake $(ARGS)

bench-egress: $(DEV)
	@$(BIN)/python -m scripts.bench_egress $(ARGS)

density: $(DEV)
	@$(BIN)/python -m scripts.bench_density $(ARGS)

clean:
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
