"""Makes the pictures of the documentation anew: the window, and one painting at three guidances.

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/docs_images.py

No real tissue is in them: the data sets' licences keep it out of the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

import napari_histodiff as hd
from napari_histodiff.core.colours import colour_nuclei
from napari_histodiff.ui.demo import run_demo
from napari_histodiff.ui.starting.painted import DEMO_CAPTION, paint_demo

IMAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "images"
WINDOWS: Final = {
    "1_before": "studio-before",
    "2_during": "studio-during",
    "3_staged": "studio-staged",
    "4_after": "studio-after",
}
GUIDANCES: Final = (1.0, 1.5, 2.5)


def main() -> None:
    """Write `docs/images/*.jpg`."""
    IMAGES.mkdir(exist_ok=True)
    # First: torch loaded after OpenGL takes the process down where both bring an LLVM.
    _draw_guidances()
    run_demo(Path("demo"))
    for source, name in WINDOWS.items():
        _save(Image.open(Path("demo") / f"window_{source}.png").convert("RGB"), name)


def _draw_guidances() -> None:
    class_map, instance_map = paint_demo(320, 320)
    model = hd.load_model()
    row = [colour_nuclei(class_map, instance_map)]
    row += [
        model(class_map, instance_map, caption=DEMO_CAPTION, guidance_scale=guidance, seed=1)
        for guidance in GUIDANCES
    ]
    _save(Image.fromarray(np.concatenate(row, axis=1)), "guidance")


def _save(picture: Image.Image, name: str) -> None:
    picture.save(IMAGES / f"{name}.jpg", quality=88, subsampling=0, optimize=True)


if __name__ == "__main__":
    main()
