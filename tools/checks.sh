#!/usr/bin/env bash
# Runs the named checks, tells the time of each, and fails if any failed: one after another, but
# mypy, a process for most of a minute, beside the others; what it says is shown when it is done.
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
    types) "$bin/mypy" ;;
    imports) "$bin/lint-imports" ;;
    # Two processes, each with one thread for torch and none more for Mesa's drawing in software.
    tests) run_tests env OMP_NUM_THREADS=1 LP_NUM_THREADS=0 \
      "$bin/python" -m pytest -n 2 --dist worksteal ;;
    slow) run_tests "$bin/python" -m pytest -m slow --timeout 1800 ;;
    docs) NO_MKDOCS_2_WARNING=1 "$bin/mkdocs" build --strict --quiet --site-dir .cache/site ;;
    *) fail "unknown check: $1" ;;
  esac
}

# Runs one check and leaves its line of the summary.
run_one() {
  local result=ok
  SECONDS=0
  (run_check "$1") || result=FAILED
  printf '%-10s %-7s %4d s\n' "$1" "$result" "$SECONDS" >"$results/$1"
}

results=$(mktemp -d) types=""
trap 'if [ -n "$types" ]; then kill -- "-$types" 2>/dev/null || true; fi; rm -rf "$results"' EXIT
trap 'exit 130' INT

case " $* " in
  *" types "*)
    set -m  # a process group of its own, to be ended with all that is in it
    run_one types >"$results/types.log" 2>&1 &
    types=$!
    set +m
    ;;
esac

for check in "$@"; do
  if [ "$check" = types ]; then continue; fi
  say "$check"
  run_one "$check"
done

if [ -n "$types" ]; then
  wait "$types" || true
  types=""
  say types
  cat "$results/types.log"
fi

cd "$results"
printf '\n'
cat "$@"
if grep -q FAILED "$@"; then exit 1; fi
