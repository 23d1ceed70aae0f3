"""A training without a model: the files, words and manners of the real one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from skimage.io import imsave

from napari_histodiff.ui.training.settings import TrainingSettings

_SCRIPT = """
import signal, shutil, sys, time
from pathlib import Path

output, mode, resume, root = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "1", Path(sys.argv[4])
signal.signal(signal.SIGINT, signal.SIG_IGN if mode == "deaf" else signal.default_int_handler)
if mode == "crash":
    print("Reading images", flush=True)
    sys.exit("Error: expected labels for a.png, got none; add a.geojson")
if resume:
    print("goes on", flush=True)
(output / "sheets").mkdir(exist_ok=True)


def save():
    (output / "pipeline").mkdir(exist_ok=True)
    (output / "pipeline" / "model_index.json").write_text("{}")
    (output / "checkpoint.pt").write_text("")


try:
    with (output / "loss.csv").open("a") as table:
        if not resume:
            table.write("samples,loss,learning_rate,size,validation\\n")
        done = 0
        while True:
            done += 16
            loss = 0.1 + 1 / (1 + done / 200) + 0.02 * ((done * 7) % 11 - 5) / 5
            check = f"{loss + 0.03:.5f}" if done % 160 == 0 else ""
            table.write(f"{done},{loss:.5f},0.0006,64,{check}\\n")
            table.flush()
            if done == 320:
                shutil.copy(root / "sheet.png", output / "sheets" / f"sheet_{done:08d}.png")
            bar = f"{done // 300}%|#   | {done}/30000 [00:01<00:20, 58.21crop/s, loss={loss:.4f}]"
            sys.stderr.write("\\r" + bar)
            sys.stderr.flush()
            time.sleep(0.01)
            if (root / "finish").exists():
                break
    save()
    print("\\ndone")
except KeyboardInterrupt:
    save()
    print("\\nsaved before the end")
    sys.exit(130)
"""


class FakeTraining:
    """Makes command lines of a script that behaves as `mode` says: "", "crash" or "deaf"."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.data, self.output = root / "slides", root / "run"
        self.mode = "normal"
        self.resumed: list[bool] = []
        self.data.mkdir()
        (self.data / "a.png").write_bytes(b"")
        (self.data / "a.geojson").write_text("{}")
        ramp = np.linspace(120, 250, 256, dtype=np.uint8)
        sheet = np.broadcast_to(ramp[None, :, None], (96, 256, 3))
        imsave(root / "sheet.png", np.ascontiguousarray(sheet), check_contrast=False)
        (root / "training.py").write_text(_SCRIPT, encoding="utf-8")

    def command(self, settings: TrainingSettings, *, resume: bool) -> list[str]:
        self.resumed.append(resume)
        arguments = [settings.output, self.mode, str(int(resume)), str(self._root)]
        return [sys.executable, str(self._root / "training.py"), *arguments]

    def let_finish(self) -> None:
        (self._root / "finish").touch()
