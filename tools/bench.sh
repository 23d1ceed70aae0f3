#!/usr/bin/env bash
# Runs every benchmark; each prints its own ratios and percentiles.
source "$(dirname "$0")/common.sh"

for script in benchmarks/bench_*.py; do
  say "$script"
  with_virtual_display .venv/bin/python -m "benchmarks.$(basename "$script" .py)"
done
