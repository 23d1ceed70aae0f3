#!/usr/bin/env bash
# Installs what pip cannot: the system libraries of Qt and OpenGL, and Xvfb. Debian and Ubuntu.
source "$(dirname "$0")/common.sh"

# "a|b" = either name will do (Ubuntu 24.04 renamed some libraries).
packages=(
  xvfb xauth fonts-dejavu-core
  libgl1 libegl1 libopengl0 libgl1-mesa-dri
  "libglib2.0-0|libglib2.0-0t64" libdbus-1-3 libfontconfig1
  libxkbcommon0 libxkbcommon-x11-0
  libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0
  libxcb-render-util0 libxcb-shape0 libxcb-xfixes0 libxcb-xinerama0 libxcb-xkb1
)

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

known() { apt-cache show "$1" >/dev/null 2>&1; }

if ! on_linux; then exit 0; fi
if ! command -v dpkg-query >/dev/null; then
  say "not Debian or Ubuntu: make sure that Qt 6's xcb libraries, OpenGL and Xvfb are installed"
  exit 0
fi

missing=()
for entry in "${packages[@]}"; do
  first=${entry%%|*} second=${entry##*|}
  if installed "$first" || installed "$second"; then continue; fi
  if [ "$first" != "$second" ] && known "$second"; then missing+=("$second"); else missing+=("$first"); fi
done
if [ ${#missing[@]} -gt 0 ]; then apt_install "${missing[@]}"; fi
