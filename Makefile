# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
ARGS ?=
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile  # a file's tests stay together: they share what is slow to make
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 10000

.PHONY: help install demo serve test test-slow lint messages clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

install: .venv/installed  ## make .venv and install the pinned requirements
.venv/installed: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here; try: make $(MAKECMDGOALS) PYTHON=python3"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

demo: install  ## draw a dataset, train a LoRA, compare, open the portal (ARGS=--no-serve stops after the table)
	$(BIN)/python manage.py demo $(ARGS)

serve: install  ## web and worker on http://127.0.0.1:8011
	$(BIN)/python manage.py serve $(ARGS)

lint: install  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy shoesai training generation gallery evaluation

test: lint  ## lint, then every quick test; again on PostgreSQL where one is reachable
	$(BIN)/python -m pytest -m "not slow and not browser" --timeout 300 $(SIDE_BY_SIDE) $(ARGS)
	$(BIN)/python -m pytest -m "browser and not slow" --timeout 300 $(ARGS)
	$(BIN)/python -m shoesai.tests.on_postgresql $(ARGS)

test-slow: install  ## full-size models, storms, long stories
	$(BIN)/python -m pytest -m slow --timeout 2400 $(ARGS)

messages: install  ## collect what is to be translated into locale/, and compile it (needs gettext)
	$(BIN)/python manage.py makemessages --locale pt_BR --add-location file --no-obsolete --ignore var --ignore benchmarks
	$(BIN)/python manage.py compilemessages --locale pt_BR --ignore .venv --ignore var

clean:  ## forget everything but the sources
	rm -rf .venv var
