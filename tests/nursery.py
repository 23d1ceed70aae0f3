"""Fresh processes that need not load torch and diffusers again: forks of one that has.

Nothing of this package is loaded before the fork but what comes with its name, so code still
imports all of it, in its own order.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

__all__ = ["CAN_FORK", "LIMIT", "Nursery"]

#: macOS has fork, but its own libraries do not bear it.
CAN_FORK: Final = sys.platform == "linux"

#: Seconds that code may take.
LIMIT: Final = 280

_NURSERY: Final = """
import gc, json, os, signal, sys, types

import napari_histodiff  # before torch, which it tells how to wait
from napari_histodiff.core.torch_start import without_garbage_searches

with without_garbage_searches():
    import PIL.Image, scipy.ndimage, scipy.stats, torch
    import diffusers.guiders, diffusers.pipelines.stable_diffusion
    from diffusers import AutoencoderKL, ControlNetModel, DiffusionPipeline, UNet2DModel
    from diffusers import FlowMatchHeunDiscreteScheduler
    from skimage.draw import disk
    from skimage.measure import label
    from skimage.morphology import skeletonize
    from skimage.segmentation import watershed

gc.freeze()  # searches for garbage would copy all of its memory into every child

def next_code():
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            os.chdir(asked["folder"])
            told = os.open(asked["told"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream, end in enumerate((os.open(os.devnull, os.O_RDONLY), told, told)):
                os.dup2(end, stream)
            signal.alarm(asked["limit"])
            return asked["code"]
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return ""

code, main = next_code(), types.ModuleType("__main__")
sys.modules["__main__"] = main
exec(code, vars(main))
"""


class Nursery(AbstractContextManager["Nursery"]):
    """Runs Python code as `python -c` would, each in a process of its own.

    Parameters
    ----------
    folder : Path
        Where what the code prints is written.
    """

    def __init__(self, folder: Path) -> None:
        self._told = folder / "told.txt"
        self._process: subprocess.Popen[str] | None = None

    def run(self, code: str, folder: Path) -> tuple[int, str]:
        """Run code in a folder; its exit status, and what it printed and warned of."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _NURSERY],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        asked = {"code": code, "folder": str(folder), "told": str(self._told), "limit": LIMIT}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        return status, self._told.read_text("utf-8")

    def __exit__(self, *exc: Any) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
