"""Backends for the worker process that tell what they found there."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

import psutil

from tests.fakes import FAKE_INFO, FakeBackend

# What a model's import would see: recorded when this module loads, before any backend exists.
ENVIRONMENT = {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")}


class Probe(FakeBackend):
    """Says in its licence field what process it runs in."""

    @property
    def info(self):  # type: ignore[no-untyped-def]
        found = {
            "pid": os.getpid(),
            "nice": psutil.Process().nice(),
            "qt": any(name in sys.modules for name in ("qtpy", "napari")),
            **ENVIRONMENT,
        }
        return replace(FAKE_INFO, licence=json.dumps(found))


def probe() -> Probe:
    return Probe()
