# make demo: the whole lab on a real three-broker Kafka. make test: the whole suite. Both make what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint types imports audit check bench campaign docs reference sbom build clean bytecode

demo: bytecode
	$(BIN)/sensorstream demo

# Four processes with a Kafka each (about 5 GB in all), and one without (tests/scheduling.py). Each imports all test
# modules; what pytest makes of one is kept, so that not each of them works it out, nor the next run.
test: bytecode
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 5 --dist loadfile --no-loadscope-reorder --durations 30

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

# Known vulnerabilities of what the program depends on. Where no index answers that is said, and is no failure;
# AUDIT=--strict, as before a release, makes it one.
audit: $(STAMP)
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python --group audit; \
	else $(BIN)/python -m pip install --quiet --group audit; fi || echo "pip-audit can't be installed"
	@$(BIN)/python tools/audit.py $(AUDIT)

check: lint types imports

# The plot is drawn by a library that nothing else here needs.
bench: bytecode
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python --group bench; \
	else $(BIN)/python -m pip install --quiet --group bench; fi
	$(BIN)/python -m bench --write

campaign: bytecode
	SENSORSTREAM_TEST_COLD=1 $(BIN)/pytest -m campaign -o timeout=0
	$(BIN)/pytest --hypothesis-profile campaign -o timeout=0 -n 2 tests/properties tests/unit

# The documentation as a site, in site/; a warning is a failure (with --quiet none would be counted).
docs: $(STAMP)
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python --group docs; \
	else $(BIN)/python -m pip install --quiet --group docs; fi
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The pages of the commands, in docs/reference/ and man/, written from the commands themselves.
reference: $(STAMP)
	$(BIN)/python -m tools.reference

# The bill of materials that the wheel carries, after a change of the dependencies, the vendored files or the version.
sbom: $(STAMP)
	$(BIN)/python -m tools.sbom

build: $(STAMP)
	$(BIN)/python -m build

# An install compiles a package's modules; here nobody does where PYTHONDONTWRITEBYTECODE is set, and every start of the
# program takes a third longer.
bytecode: $(STAMP)
	@$(BIN)/python -m compileall -q src

# uv where it is installed, else venv and pip; both read the dependency group from pyproject.toml.
$(STAMP): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python '>=3.11,<3.15' $(VENV) && \
		uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[all]' --group dev; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
		$(BIN)/python -m pip install --quiet -e '.[all]' --group dev; \
	fi
	@touch $@

clean:
	rm -rf $(VENV) .venvs build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
