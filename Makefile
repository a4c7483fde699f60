# One verb per line of work; CI calls the same. Only Python 3.10+ (with venv) and make are assumed.
PYTHON ?= python3
DEMO_VENV := .venv-demo
TEST_VENV := .venv-test
LOWEST_VENV := .venv-lowest
DOCS_VENV := .venv-docs
AUDIT_VENV := .venv-audit
OPTIMUM_VENV := .venv-optimum
LOWEST_PYTHON ?= $(shell .ci/oldest-python)
LOWEST_TESTS := tests/runtime tests/data tests/evaluation
DEMO_ARGS ?=
SERVE_VENV := .venv-serve
SERVE_ARGS ?=
PYTEST_ARGS ?=
COMPARE_ARGS ?=
# A process for each core; a file stays in one, so that its fixtures are made once.
PARALLEL := -n logical --dist loadfile
PIP_QUIET := --quiet --disable-pip-version-check

.PHONY: demo serve test slow optimum lowest lint audit format bench performance compare docs clean

## demo: run the shipped bundle on a procedural event stream, from the light install alone (no torch)
demo: $(DEMO_VENV)/.ready
	$(DEMO_VENV)/bin/vljepa demo $(DEMO_ARGS)

## serve: the page at http://127.0.0.1:8080/ with the demo's stream as a camera, from the light install with `serve`
serve: $(SERVE_VENV)/.ready
	$(SERVE_VENV)/bin/vljepa serve --demo $(SERVE_ARGS)

## test: lint and run the suite, in an environment of its own
test: lint
	$(TEST_VENV)/bin/python -m pytest $(PARALLEL) -m "not slow" $(PYTEST_ARGS)

## slow: the tests that take many seconds each: whole exports, training, what the pages show from begin to end
slow: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/python -m pytest $(PARALLEL) -m slow $(PYTEST_ARGS)

## optimum: V-JEPA 2 through `optimum-cli`, in an environment of its own: Optimum wants transformers below 4.58
optimum: $(OPTIMUM_VENV)/.ready
	$(OPTIMUM_VENV)/bin/python -m pytest tests/export/test_optimum.py -p no:cacheprovider $(PYTEST_ARGS)

## lowest: the runtime's tests with the lowest versions that pyproject.toml declares, on the oldest Python here
lowest: $(LOWEST_VENV)/.ready
	$(LOWEST_VENV)/bin/python -m pytest $(LOWEST_TESTS) -p no:cacheprovider $(PYTEST_ARGS)

## lint: style, format, types and the direction of imports
lint: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/ruff check .
	$(TEST_VENV)/bin/ruff format --check .
	$(TEST_VENV)/bin/mypy
	$(TEST_VENV)/bin/lint-imports

## audit: known weaknesses of what `pip install .[serve]` brings, where PyPI's advisories can be reached
audit: $(TEST_VENV)/.ready $(AUDIT_VENV)/.ready
	$(TEST_VENV)/bin/python .ci/audit $(AUDIT_VENV)/bin/pip-audit

## format: let ruff rewrite what it can
format: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/ruff check --fix .
	$(TEST_VENV)/bin/ruff format .

## bench: measure the shipped bundle on this machine
bench: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/vljepa bench tiny

## performance: measure it beside torch, ONNX Runtime and OpenVINO, and write docs/performance.md
performance: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/vljepa bench tiny --against all --full-size --markdown docs/performance.md \
		--png docs/images/performance.png --force

## compare: tiny in every precision beside a token-space VLM and dual encoders, as one page: runs/compare/report.html
compare: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/python tests/compare_everything.py runs/compare $(COMPARE_ARGS)

## docs: write docs/commands.md from the commands themselves, then build the site into site/
docs: $(DOCS_VENV)/.ready
	$(DOCS_VENV)/bin/python -m vljepa_apps.reference docs/commands.md
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet

clean:
	rm -rf $(DEMO_VENV) $(SERVE_VENV) $(TEST_VENV) $(OPTIMUM_VENV) $(LOWEST_VENV) $(DOCS_VENV) site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(DEMO_VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python -m pip install $(PIP_QUIET) -c constraints.txt -e .
	@touch $@

$(SERVE_VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(SERVE_VENV)
	$(SERVE_VENV)/bin/python -m pip install $(PIP_QUIET) -c constraints.txt -e '.[serve]'
	@touch $@

$(TEST_VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/python -m pip install $(PIP_QUIET) --upgrade 'pip>=25.1'
	$(TEST_VENV)/bin/python -m pip install $(PIP_QUIET) -c constraints.txt -e '.[all]' --group dev
	@touch $@

# Of the constraints torch alone, for transformers is older here; and not linked: `optimum-cli` looks beside its own files.
$(OPTIMUM_VENV)/.ready: pyproject.toml constraints.txt export/optimum-vljepa/pyproject.toml
	$(PYTHON) -m venv $(OPTIMUM_VENV)
	grep '^torch==' constraints.txt > $(OPTIMUM_VENV)/constraints.txt
	$(OPTIMUM_VENV)/bin/python -m pip install $(PIP_QUIET) -c $(OPTIMUM_VENV)/constraints.txt -e '.[export]' \
		./export/optimum-vljepa hypothesis pytest pytest-timeout
	@touch $@

$(AUDIT_VENV)/.ready:
	$(PYTHON) -m venv $(AUDIT_VENV)
	$(AUDIT_VENV)/bin/python -m pip install $(PIP_QUIET) pip-audit
	@touch $@

$(DOCS_VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install $(PIP_QUIET) --upgrade 'pip>=25.1'
	$(DOCS_VENV)/bin/python -m pip install $(PIP_QUIET) -c constraints.txt -e . --group docs
	@touch $@

# onnx, safetensors and scikit-learn write test graphs and serve as oracles; torch stays away.
$(LOWEST_VENV)/.ready: pyproject.toml tests/lowest_versions.py
	$(LOWEST_PYTHON) -m venv --clear $(LOWEST_VENV)
	$(LOWEST_VENV)/bin/python -m pip install $(PIP_QUIET) --upgrade 'pip>=25.1'
	$(LOWEST_VENV)/bin/python tests/lowest_versions.py > $(LOWEST_VENV)/lowest.txt
	$(LOWEST_VENV)/bin/python -m pip install $(PIP_QUIET) --only-binary :all: -c $(LOWEST_VENV)/lowest.txt \
		-e '.[openvino,apps,mqtt]' --group light-test onnx safetensors scikit-learn
	@touch $@
