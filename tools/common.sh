# Shared by the scripts of this folder; sourced, not run. Bash 3.2 (macOS) is enough.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Tests and examples start many processes; each would compile the package anew.
unset PYTHONDONTWRITEBYTECODE

say() { printf '==> %s\n' "$*"; }

fail() {
  printf '\nerror: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '       %s\n' "$@" >&2; fi
  exit 1
}

on_linux() { [ "$(uname -s)" = Linux ]; }

has_display() { ! on_linux || [ -n "${DISPLAY:-}" ] || [ -n "${WAYLAND_DISPLAY:-}" ]; }

# Runs a command on a virtual display of its own; macOS has no Xvfb and uses its desktop.
with_virtual_display() {
  if on_linux; then
    env -u WAYLAND_DISPLAY QT_QPA_PLATFORM=xcb xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
  else
    "$@"
  fi
}

# Installs Debian/Ubuntu packages, or stops with the command somebody with the rights can run.
apt_install() {
  local sudo=() command="sudo apt-get install --yes --no-install-recommends $*"
  if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      fail "system packages are missing and this user may not install them." \
        "Run this once, then try again:" "" "  $command"
    fi
    sudo=(sudo -n)
  fi
  say "installing system packages: $*"
  local log
  log=$(mktemp)
  if ! {
    ${sudo[@]+"${sudo[@]}"} apt-get update -qq &&
      ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "$@"
  } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install the packages above (full log: $log)." \
      "Check the network and the package sources, then run:" "" "  $command"
  fi
  rm -f "$log"
}
