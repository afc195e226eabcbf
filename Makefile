# make demo | test | check | bench | mutate | drill | fuzz | docs | lock | audit | sbom | clean
# make install [VENV=dir] [EXTRA=cpu|gpu]
VENV ?= .venv
EXTRA ?= cpu
PYTHON ?= python3
BIN := $(VENV)/bin
LOCK := requirements$(if $(filter gpu,$(EXTRA)),-gpu).lock
STAMP := $(VENV)/.installed-$(EXTRA)

export DO_NOT_TRACK := true

.PHONY: install demo test check bench mutate drill fuzz docs lock audit sbom clean

install: $(STAMP)

# The lock is complete, so dependencies are not resolved again.
$(STAMP): $(LOCK) pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing starloom[$(EXTRA)] into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install
	@$(BIN)/starloom demo

test: install
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	@$(BIN)/python -m tests.benchmarks

# MODULE="path ..." N=mutants per module SEED=word
mutate: install
	@$(BIN)/python -m tests.mutation $(MODULE) $(if $(N),--count $(N)) $(if $(SEED),--seed $(SEED))

# FAULTS="name ..." FLOWS="name ..." SEED=first REPEATS=number
drill: install
	@$(BIN)/python -m tests.drill $(if $(FAULTS),--faults $(FAULTS)) $(if $(FLOWS),--flows $(FLOWS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(REPEATS),--repeats $(REPEATS))

# PARSER="name ..." N=files for each SEED=number
fuzz: install
	@$(BIN)/python -m tests.fuzz $(PARSER) $(if $(N),--inputs $(N)) $(if $(SEED),--seed $(SEED))

docs: install
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock:
	@for extra in cpu gpu; do \
	  uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	    --extra $$extra --extra dev pyproject.toml --output-file requirements$$(test $$extra = cpu || echo -gpu).lock; \
	done

# The tools have an environment of their own: what is audited stays what is installed.
TOOLS := $(VENV)-audit
$(TOOLS)/.installed:
	@test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.10,<3" "cyclonedx-bom>=7.3,<8"
	@touch $@

# Strict: a pin that the service of advisories does not know counts as a failure, as all do without a connection.
audit: $(TOOLS)/.installed
	@$(TOOLS)/bin/pip-audit --strict --requirement $(LOCK) --no-deps --disable-pip --progress-spinner off

sbom: install $(TOOLS)/.installed
	@mkdir -p build
	@$(TOOLS)/bin/cyclonedx-py requirements $(LOCK) --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json
	@$(BIN)/python -m tests.bill_of_materials build/sbom.json $(LOCK)

clean:
	rm -rf $(VENV) $(TOOLS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
