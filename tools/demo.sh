#!/usr/bin/env bash
# Opens napari with the Studio and a painted example; without a display writes the results to demo/.
source "$(dirname "$0")/common.sh"

if has_display; then
  say "opening napari: paint nuclei, press Generate"
  exec .venv/bin/histodiff demo "$@"
fi
say "no display found: running the demo on a virtual one and writing its results to demo/"
with_virtual_display .venv/bin/histodiff demo --output demo "$@"
say "done; look at demo/:"
ls -l demo
