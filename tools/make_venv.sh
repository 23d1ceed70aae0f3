#!/usr/bin/env bash
# Makes .venv with everything in it, or does nothing when it is up to date.
#   PYTHON  the interpreter to use (default: the first python3 that is 3.11 or newer)
#   TORCH   the PyTorch to install (default: the one that is there, else torch==2.13.0)
source "$(dirname "$0")/common.sh"

stamp=.venv/installed
log=.venv/install.log

recent_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
    if recent_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# Debian and Ubuntu ship Python without the module that makes virtual environments.
ensure_venv_module() {
  if "$1" -c 'import ensurepip, venv' 2>/dev/null; then return; fi
  local version
  version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if ! command -v apt-get >/dev/null; then
    fail "$1 has no venv module; install it, or set PYTHON to an interpreter that has it."
  fi
  apt_install "python$version-venv"
}

# Everything that leads to a new environment when it changes, one a line: interpreter, place and
# requirements here, PyTorch by whoever asks.
fingerprint() {
  "$1" - <<'PY'
import hashlib, os, sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
print("Python", sys.version.replace("\n", " "))
print("folder", ascii(os.getcwd()))
print("requirements", hashlib.sha256(repr(project).encode()).hexdigest())
PY
}

# Says what of the stamp is not as wanted; nothing where all is. PyTorch differs only when asked for.
changed() {
  local name now before
  while read -r name now; do
    before=$(sed -n "s/^$name //p" "$stamp" 2>/dev/null || true)
    if [ "$before" = "$now" ]; then continue; fi
    case $name in
      requirements) echo "pyproject.toml asks for other packages" ;;
      *) echo "$name was ${before:-not recorded}, is now $now" ;;
    esac
  done <<EOF
$1
EOF
}

# pip's own output goes to the log; the long downloads and the last step are shown.
pip_install() {
  if ! .venv/bin/python -m pip install --no-input --disable-pip-version-check "$@" 2>&1 |
    tee -a "$log" | { grep -E --line-buffered '\([0-9.]+ [MG]B\)|^Installing' || true; } |
    cut -c 1-100; then
    tail -n 15 "$log" >&2
    fail "pip could not install: $*" "The full log is in $log"
  fi
}

if ! python=$(find_python) && command -v apt-get >/dev/null && [ -z "${PYTHON:-}" ]; then
  if ! command -v python3 >/dev/null; then apt_install python3 python3-venv; fi
  if ! python=$(find_python); then apt_install python3.11 python3.11-venv; fi
fi
if ! python=$(find_python); then
  fail "expected Python 3.11 or newer, found none; install it, or name it:" "" \
    "  make demo PYTHON=/path/to/python3.12"
fi
there=$(sed -n 's/^TORCH //p' "$stamp" 2>/dev/null || true)
TORCH=${TORCH:-${there:-torch==2.13.0}}
wanted=$(fingerprint "$python" && echo "TORCH $TORCH")
why=$(changed "$wanted")
if [ -z "$why" ]; then exit 0; fi

SECONDS=0
if [ -d .venv ]; then
  if ! grep -q '^TORCH ' "$stamp" 2>/dev/null; then
    why="it was not finished, or made by other means or an earlier version"
  fi
  printf '%s\n' "$why" | while read -r reason; do say "making .venv anew: $reason"; done
fi
say "making the virtual environment .venv with $("$python" -V) (a few minutes the first time)"
ensure_venv_module "$python"
rm -f "$stamp"
"$python" -m venv --clear .venv
say "installing $TORCH, the largest part (make venv TORCH=... takes another)"
pip_install "$TORCH"
say "installing napari, diffusers and the tools of the tests"
pip_install --editable ".[all,dev]"
echo "$wanted" >"$stamp"
say "environment ready after ${SECONDS} s, $(du -sh .venv | cut -f 1)"
