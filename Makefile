# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := src tests benchmarks tools

.PHONY: demo test test-slow bench check outcomes clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  (echo "Python 3.11 or later is needed: make PYTHON=python3.12 ..." >&2; exit 2)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,dev]"
	@touch $@

# The extras of the slow tests (torch, transformers, ray: 1.5 GB) stay out of every other target.
$(READY)-slow: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,dev,encoder,lora,ray]"
	@touch $@

## demo: the whole loop on the bundled project (a minute or two on two cores)
demo: $(READY)
	$(BIN)/stepdown demo

## check: style, types, layers
check: $(READY)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy src/stepdown
	$(BIN)/lint-imports --no-logo

## test: every check and every test but the slow ones
test: check
	$(BIN)/stepdown models pull
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" -q

## test-slow: longer studies (validity by simulation, pages in a real browser, servers,
## real fine-tuning, a local Ray)
test-slow: $(READY)-slow
	$(BIN)/stepdown models pull
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow -q

## bench: the figures of the README and the closing notes
bench: $(READY)
	$(BIN)/stepdown models pull
	$(BIN)/python benchmarks/bench_start.py
	$(BIN)/python benchmarks/bench_experts.py
	$(BIN)/python benchmarks/bench_banking77.py
	$(BIN)/python benchmarks/bench_train.py
	$(BIN)/python benchmarks/bench_extractor.py
	$(BIN)/python benchmarks/bench_audit.py
	$(BIN)/python benchmarks/bench_thresholds.py
	$(BIN)/python benchmarks/bench_labels.py
	$(BIN)/python benchmarks/bench_routing_before.py
	$(BIN)/python benchmarks/bench_routing.py
	$(BIN)/python benchmarks/bench_promise.py
	$(BIN)/python benchmarks/bench_review.py
	$(BIN)/python benchmarks/bench_search.py
	$(BIN)/python benchmarks/bench_decision.py
	$(BIN)/python benchmarks/bench_servers.py
	$(BIN)/python benchmarks/bench_gateway.py
	$(BIN)/python benchmarks/bench_eval.py
	$(BIN)/python benchmarks/bench_dashboard.py

## outcomes: record the small language model's answers anew by a real run (most of an hour)
outcomes: $(READY)
	$(BIN)/stepdown models pull
	$(BIN)/python tools/record_small.py build/outcomes

clean:
	rm -rf $(VENV) build dist stepdown-demo stepdown-demo-banking77
