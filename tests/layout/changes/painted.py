"""A gland in stroma, and what a change makes of it."""

from __future__ import annotations

import numpy as np

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.layout.changes import Changed, change_paint
from napari_histodiff.layout.completion.placing import place_nuclei
from napari_histodiff.layout.plan import plan_of

ID = {name: number for number, name in enumerate(TISSUE_NAMES)}
LYMPHOCYTE, EPITHELIAL, CONNECTIVE = (
    CLASS_NAMES.index(name) + 1 for name in ("lymphocyte", "epithelial", "connective")
)


def paint() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A gland with a lumen in stroma, with the nuclei of both, at 0.5 um/px."""
    y, x = np.mgrid[:256, :256]
    away = np.hypot(y - 128, x - 110)
    tissue = np.full((256, 256), ID["stroma"], np.uint8)
    tissue[away < 60] = ID["gland"]
    tissue[away < 25] = ID["lumen"]
    everywhere = np.ones(tissue.shape, bool)
    classes, instances = place_nuclei(
        tissue,
        everywhere,
        ~everywhere,
        plan_of("colon"),
        frame=Region(0, 0, 0, 256, 256),
        mpp=0.5,
        seed=1,
    )
    return classes, instances, tissue


CLASSES, INSTANCES, TISSUE = paint()
BEFORE = Changed(CLASSES, INSTANCES, TISSUE, ())


def changed(text: str, **more) -> Changed:
    return change_paint(CLASSES, INSTANCES, TISSUE, text, mpp=0.5, caption="colon", **more)


def count(done: Changed, class_id: int, where: np.ndarray | None = None) -> int:
    here = done.class_map == class_id
    return len(np.unique(done.instance_map[here if where is None else here & where]))
