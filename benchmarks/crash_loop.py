"""Kills a process that edits a slide at random moments, and compares what is left with a twin.

After each kill the slide must open, hold exactly the steps that were committed (edits, undo, redo,
new sketches), and have no damaged tile once it is open.

    python benchmarks/crash_loop.py [--kills 200] [--seed 0]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.slide.crashing import Tally, kill_and_compare


def main() -> int:
    """Kill and print; return 1 when a slide was not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for tally in kill_and_compare(Path(folder) / "slides", options.kills, options.seed):
            if tally.kills % 20 == 0:
                print(f"{tally.kills} kills, {tally.steps} steps", flush=True)
    opening = sorted(tally.open_seconds)
    print(f"kills: {tally.kills}; steps kept: {tally.steps}; wrong: {len(tally.wrong)}")
    print(f"last step committed but not yet acknowledged: {tally.unfinished}")
    print(
        f"opening after a kill: median {statistics.median(opening) * 1000:.0f} ms, "
        f"longest {opening[-1] * 1000:.0f} ms"
    )
    for what in tally.wrong:
        print(what)
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
