# Everything starts here; the work is done by the short scripts in tools/.
.PHONY: help demo test test-slow lint docs bench clean system venv

help:
	@echo "make demo       open napari with a painted example (without a display: write it to demo/)"
	@echo "make test       lint, types, layers, tests and documentation"
	@echo "make test-slow  the tests that take minutes"
	@echo "make lint       ruff, mypy and the import contracts only"
	@echo "make docs       build the documentation into site/"
	@echo "make bench      run the benchmarks"
	@echo "make clean      remove the virtual environment, caches and results"

demo: venv
	@tools/demo.sh

test: venv
	@tools/checks.sh ruff format types imports tests docs

test-slow: venv
	@tools/checks.sh slow

lint: venv
	@tools/checks.sh ruff format types imports

docs: venv
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet --site-dir site
	@echo "open site/index.html"

bench: venv
	@tools/bench.sh

system:
	@tools/system_packages.sh

venv: system
	@tools/make_venv.sh

clean:
	rm -rf .venv site demo build dist .cache .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
