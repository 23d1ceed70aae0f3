#!/usr/bin/env bash
# Runs the named checks one after another, tells the time of each, and fails if any failed.
source "$(dirname "$0")/common.sh"

bin=.venv/bin
export OMP_WAIT_POLICY=PASSIVE  # busy-waiting torch threads starve a window on few cores

# Only these plugins: pytest would compile all of napari and zarr anew, which bring some, too.
run_tests() {
  with_virtual_display env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 "$@" -q -p xdist -p timeout \
    -p pytest-qt -p hypothesispytest -p napari.utils._testsupport
}

run_check() {
  case "$1" in
    ruff) "$bin/ruff" check . ;;
    format) "$bin/ruff" format --check . ;;
    types) "$bin/mypy" --num-workers 2 ;;  # in half the time of one process
    imports) "$bin/lint-imports" ;;
    # Two processes, each with one thread for torch and none more for Mesa's drawing in software.
    tests) run_tests env OMP_NUM_THREADS=1 LP_NUM_THREADS=0 \
      "$bin/python" -m pytest -n 2 --dist worksteal ;;
    slow) run_tests "$bin/python" -m pytest -m slow --timeout 1800 ;;
    docs) NO_MKDOCS_2_WARNING=1 "$bin/mkdocs" build --strict --quiet --site-dir .cache/site ;;
    *) fail "unknown check: $1" ;;
  esac
}

summary="" failed=0
for check in "$@"; do
  say "$check"
  SECONDS=0
  if (run_check "$check"); then result=ok; else result=FAILED failed=1; fi
  summary+=$(printf '%-10s %-7s %4d s' "$check" "$result" "$SECONDS")$'\n'
done
printf '\n%s' "$summary"
exit "$failed"
