# `just` runs what a change must pass; `just test-all` adds the slow tests.

default: lint types test

test *arguments:
    pytest -n 2 {{arguments}}

test-all:
    pytest -n 2 -m "slow or not slow" --hypothesis-profile=search

lint:
    ruff format --check .
    ruff check .

fix:
    ruff format .
    ruff check --fix .

types:
    mypy

# everything the benchmarks promise, as tables
bench:
    for name in benchmarks/*.py; do python "$name" --quick || true; done
