"""Two checkouts measured in turns by one script, each time in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["measured_in_turns"]

_HERE = Path(__file__).resolve().parents[1]


def measured_in_turns(
    script: str, arguments: list[str], before: Path | None, repeats: int
) -> dict[str, dict[str, list[float]]]:
    """Return what a script measured of this checkout, "now", and of another one, "before".

    Parameters
    ----------
    script : str
        A file that prints seconds by name as JSON, in its last line, when it is given `--json`.
    arguments : list of str
        What else it is given.
    before : Path, optional
        The other checkout.
    repeats : int
        Processes of each.
    """
    checkouts = {"now": _HERE} | ({"before": before} if before else {})
    found: dict[str, dict[str, list[float]]] = {name: {} for name in checkouts}
    for _ in range(repeats):
        for name, folder in checkouts.items():
            for what, seconds in _in_process(script, arguments, folder).items():
                found[name].setdefault(what, []).append(seconds)
    return found


def _in_process(script: str, arguments: list[str], folder: Path) -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, str(Path(script).resolve()), "--json", *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(result.stderr)
    seconds: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return seconds
