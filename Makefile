# Two commands are enough: `make demo` to see it, `make test` to trust it.
PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.runtime.stamp
DEV := .venv/.dev.stamp

.PHONY: demo setup tools test check format fuzz loadtest bench profile bench-placement bench-egress clean
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

test: $(DEV)
	$(BIN)/pytest -q $(ARGS)

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/mirror.py
	$(BIN)/pytest -q $(ARGS)

model: $(DEV)
	@$(BIN)/python -m tests.model

fuzz: $(DEV)
	ROUSE_FUZZ=$${ROUSE_FUZZ:-100000} $(BIN)/pytest -q --timeout=0 tests/contract/test_codec.py $(ARGS)

loadtest: $(DEV)
	@$(BIN)/python -m loadtest $(ARGS)

bench: $(DEV)
	@$(BIN)/python -m loadtest.bench $(ARGS)

profile: $(DEV)
	@$(BIN)/python -m loadtest.bench.profiling $(ARGS)

bench-placement: $(DEV)
	@$(BIN)/python -m scripts.bench_placement $(ARGS)

bench-egress: $(DEV)
	@$(BIN)/python -m scripts.bench_egress $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
