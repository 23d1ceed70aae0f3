"""Reads the annotated sets of `data/README.md` at about 0.5, or 0.25, micrometres per pixel."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import label
from skimage.morphology import remove_small_objects
from skimage.transform import resize

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.captions import parse_caption
from napari_histodiff.datasets.pictures import read_picture

__all__ = ["PackItem", "Sample", "Split", "read_all"]

Split = Literal["train", "test"]

_INFLAMMATORY: Final = 2  # CoNSeP's own id: a lymphocyte, plasma cell, neutrophil or eosinophil
_OTHER: Final = 1  # CoNSeP's own id: none of its other six classes
_BRIGHT: Final = 215  # mean of RGB above which a wide patch is lumen or glass
_MACROPHAGE: Final = 9  # MoNuSAC's, none of our classes
#: What is held out of the sets that `splits.json` does not name, by case and by patient.
_ATLAS_TEST: Final = ("acute-appendicitis", "giardia", "tubularadenoma-flat")
_MONUSAC_TEST: Final = ("TCGA-DW-7838", "TCGA-73-4662", "TCGA-A2-A0ES")
# Not stated by its authors. Nuclei measure 7.5 px across, those of Lizard at 0.5 um/px 12 px.
_CAMELYON_MPP: Final = 0.8
_COARSEST_MPP: Final = 6.0


@dataclass(frozen=True, slots=True)
class PackItem:
    """What is known of one image: where it comes from, its scale and its labels.

    `slide` names what must not be split between training and test, where it is known.
    `nuclei`, of a tile: how many nuclei of unknown class and of each class it is the first tile to
    show; None when the image was not cut. `unknown_is_inflammatory`: a nucleus of unknown class is
    a lymphocyte, plasma cell, neutrophil or eosinophil, unless its id is in `other_nuclei`.
    `soft`: a network set the nuclei, nobody has looked at them.
    """

    name: str
    source: str
    mpp: float
    organ: str | None
    caption: str
    has_nuclei: bool
    has_classes: bool
    has_tissue: bool
    slide: str = ""
    nuclei: tuple[int, ...] | None = None
    unknown_is_inflammatory: bool = False
    other_nuclei: tuple[int, ...] = ()
    soft: bool = False

    @property
    def annotated(self) -> bool:
        """Whether people outlined its nuclei: only such are counted, learnt from and judged by."""
        return self.has_nuclei and not self.soft

    def tile(self, name: str, nuclei: tuple[int, ...]) -> PackItem:
        """Return the item of a tile cut from this image."""
        return replace(self, name=name, nuclei=nuclei)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image with its label maps, all of one shape.

    `pixels` (h, w, 3) uint8; `classes`, `tissue`, `valid` (h, w) uint8 (valid 0/1);
    `instances` (h, w) int32.
    """

    item: PackItem
    pixels: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    instances: NDArray[np.int32]
    tissue: NDArray[np.uint8]
    valid: NDArray[np.uint8]


def read_all(data: Path, split: Split, *, fine: bool = False) -> Iterator[Sample]:
    """Yield every image of `split` as `splits.json` names them.

    Of the sets that it leaves out, the atlas is split by case and MoNuSAC by patient; all images of
    the others belong to "train". With `fine`, only images that were scanned at 40x, at that scale.
    """
    splits = json.loads((data / "splits.json").read_text())
    for source, read in (_FINE_READERS if fine else _READERS).items():
        for name in splits.get(source, {}).get(split, ()):
            if not (fine and _is_20x(source, name)):
                yield read(data / source, name)
    for source, read_part in _SPLIT_HERE.items():
        if source not in splits:
            yield from read_part(data / source, split, fine=fine)
    if split == "train" and not fine:
        for source, read_set in _UNLISTED.items():
            if source not in splits:
                yield from read_set(data / source)


def _lizard(folder: Path, name: str) -> Sample:
    with (folder / "mosaics.csv").open() as lines:
        row = next(r for r in csv.DictReader(lines) if r["mosaic"] == name)
    return _sample(
        folder,
        name,
        mpp=float(row["um_per_px"]),
        organ="colon",
        classes=_mask(folder / "type" / f"{name}.png"),
        instances=_mask(folder / "inst" / f"{name}.png"),
        valid=_mask(folder / "valid" / f"{name}.png") > 0,
    )


def _consep(folder: Path, name: str, *, fine: bool = False) -> Sample:
    with (folder / "captions.csv").open() as lines:
        caption = next(r["caption"] for r in csv.DictReader(lines) if r["name"] == name)
    classes, own = (
        _mask(folder / "type" / f"{name}.png"),
        _mask(folder / "type_orig" / f"{name}.png"),
    )
    instances = _mask(folder / "inst" / f"{name}.png")
    classes[own == _INFLAMMATORY] = 0
    others = np.unique(instances[own == _OTHER]).tolist()
    sample = _sample(
        folder,
        name,
        mpp=0.275 if fine else 0.55,
        organ="colon",
        caption=caption,
        classes=classes,
        instances=instances,
        halve=not fine,
    )
    item = replace(sample.item, unknown_is_inflammatory=True, other_nuclei=tuple(others))
    return replace(sample, item=item)


def _monuseg(folder: Path, name: str, *, fine: bool = False) -> Sample:
    with (folder / "index.csv").open() as lines:
        organ = next(r["organ"] for r in csv.DictReader(lines) if r["name"] == name)
    instances = _mask(folder / "inst" / f"{name}.png")
    organ_word = parse_caption(organ.split("(")[0]).caption.organ
    mpp, halve = _scale(fine)
    return _sample(folder, name, mpp=mpp, organ=organ_word, instances=instances, halve=halve)


def _brain(folder: Path, name: str, *, fine: bool = False) -> Sample:
    mpp, halve = _scale(fine)
    instances = _mask(folder / "inst" / f"{name}.png")
    halve = halve and not _is_20x(folder.name, name)
    return _sample(folder, name, mpp=mpp, organ="brain", instances=instances, halve=halve)


def _glas(folder: Path, name: str) -> Sample:
    tissue_file = folder / "tissue" / f"{name}.png"
    return _sample(folder, name, mpp=0.5, organ="colon", gland=_mask(tissue_file), zoom=1.24)


def _unannotated(folder: Path, name: str, *, fine: bool = False) -> Sample:
    mpp, halve = _scale(fine)
    return _sample(folder, name, mpp=mpp, organ=None, halve=halve)


def _scale(fine: bool) -> tuple[float, bool]:
    """Micrometres per pixel that a 40x image is read at, and whether it is halved for that."""
    return (0.25, False) if fine else (0.5, True)


def _is_20x(source: str, name: str) -> bool:
    return source == "miccai2015_seg" and int(name.removeprefix("image")) <= 7


def _camelyon(folder: Path) -> Iterator[Sample]:
    for path in sorted((folder / "img").glob("*.jpg")):
        tumour = _mask(folder / "tumour_mask" / f"{path.stem}.png") > 0
        caption = "tumour" if tumour.mean() > 0.5 else ""
        yield _bare(folder, path, _CAMELYON_MPP, "lymph node", caption)


def _overview(folder: Path) -> Iterator[Sample]:
    """Whole sections at 4 to 6 um/px; thumbnails, where glands are dots, are left out."""
    index = folder / "index.csv"
    rows = csv.DictReader(index.read_text().splitlines()) if index.is_file() else ()
    for row in rows:
        mpp, organ = float(row["um_per_px_estimate"]), row["organ"].split()[0]
        if mpp <= _COARSEST_MPP:
            path = next((folder / "images").glob(f"{row['name']}.*"))
            yield _bare(folder, path, mpp, parse_caption(organ).caption.organ)


def _slide(folder: Path) -> Iterator[Sample]:
    path = folder / "CMU-1-Small-Region.svs"
    if path.is_file():
        yield _bare(folder, path, 0.499, "skin")


def _atlas(folder: Path, split: Split, *, fine: bool = False) -> Iterator[Sample]:
    """Fields of whole slides at four scales, without labels; each scale is a source of its own."""
    index = folder / "index.csv"
    rows = csv.DictReader(index.read_text().splitlines()) if index.is_file() else ()
    for row in rows:
        path, case = folder / row["file"], row["case"]
        scale = path.parent.name
        wanted = ("fine",) if fine else ("half", "wide1", "wide2")
        if scale not in wanted or (case in _ATLAS_TEST) != (split == "test") or not path.is_file():
            continue
        organ = parse_caption(_ATLAS_ORGANS.get(case, "")).caption.organ
        sample = _bare(folder, path, float(row["mpp_estimate"]), organ)
        source = "atlas" if scale in ("half", "fine") else f"atlas_{scale}"
        item = replace(sample.item, name=f"{scale}_{path.stem}", source=source, slide=case)
        yield replace(sample, item=item)


def _monusac(folder: Path, split: Split, *, fine: bool = False) -> Iterator[Sample]:
    index = folder / "index.csv"
    rows = csv.DictReader(index.read_text().splitlines()) if index.is_file() else ()
    mpp, halve = _scale(fine)
    for row in rows:
        if (row["patient"] in _MONUSAC_TEST) != (split == "test"):
            continue
        classes = _mask(folder / "type" / f"{row['name']}.png")
        sample = _sample(
            folder,
            row["name"],
            mpp=mpp,
            organ=None,
            classes=np.where(classes == _MACROPHAGE, 0, classes),
            instances=_mask(folder / "inst" / f"{row['name']}.png"),
            halve=halve,
        )
        yield replace(sample, item=replace(sample.item, slide=row["patient"]))


def _bare(folder: Path, path: Path, mpp: float, organ: str | None, caption: str = "") -> Sample:
    """An image without labels, at its own scale."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    item = PackItem(path.stem, folder.name, mpp, organ, caption, False, False, False)
    blank = np.zeros(pixels.shape[:2], np.uint8)
    return Sample(item, pixels, blank, blank.astype(np.int32), blank, blank + 1)


_READERS: Final[dict[str, Callable[[Path, str], Sample]]] = {
    "lizard": _lizard,
    "consep": _consep,
    "monuseg": _monuseg,
    "tcga_lgg36": _brain,
    "miccai2015_seg": _brain,
    "glas": _glas,
    "tcga_sbu_unannotated": _unannotated,
}
_FINE_READERS: Final[dict[str, Callable[[Path, str], Sample]]] = {
    "consep": partial(_consep, fine=True),
    "monuseg": partial(_monuseg, fine=True),
    "tcga_lgg36": partial(_brain, fine=True),
    "miccai2015_seg": partial(_brain, fine=True),
    "tcga_sbu_unannotated": partial(_unannotated, fine=True),
}
_SPLIT_HERE: Final[dict[str, Callable[..., Iterator[Sample]]]] = {
    "atlas": _atlas,
    "monusac": _monusac,
}
#: Organs of the cases whose pages say so.
_ATLAS_ORGANS: Final = {
    "crohn-colonoscopic-biopsy": "colon",
    "duodenum-tubular-adenoma": "duodenum",
    "enterobius-vermicularis": "colon",
    "fistula": "colon",
    "hamartomatouspolyp": "colon",
    "helicobacterpylori": "stomach",
    "hyperplasticpolyp": "colon",
    "melanosiscoli": "colon",
    "metaplasia": "stomach",
    "mucinous-adenocarcinoma-colon": "colon",
    "acute-appendicitis": "colon",
    "tubularadenoma-flat": "colon",
    "signet-ring-cell-carcinoma": "stomach",
    "insidious-lymph-node-metastasis": "lymph node",
    "breast-lobular-carcinoma": "breast",
    "kidneyoncocytoma": "kidney",
    "liver-hemangioma": "liver",
    "anthracosis": "lung",
    "keloid-scar": "skin",
    "pilocytic-astrocytoma": "brain",
}
_UNLISTED: Final[dict[str, Callable[[Path], Iterator[Sample]]]] = {
    "camelyon_tiles": _camelyon,
    "overview": _overview,
    "wsi": _slide,
}


def _sample(
    folder: Path,
    name: str,
    *,
    mpp: float,
    organ: str | None,
    caption: str = "",
    classes: NDArray[Any] | None = None,
    instances: NDArray[Any] | None = None,
    gland: NDArray[Any] | None = None,
    valid: NDArray[np.bool_] | None = None,
    halve: bool = False,
    zoom: float = 1.0,
) -> Sample:
    pixels = read_picture(next((folder / "images").glob(f"{name}.*"))).rgb()
    blank = np.zeros(pixels.shape[:2], np.uint8)
    maps = [
        blank if classes is None else classes.astype(np.uint8),
        blank if instances is None else instances,
        blank if gland is None else (gland > 0).astype(np.uint8),
        blank + 1 if valid is None else valid.astype(np.uint8),
    ]
    if halve:
        even = (slice(0, pixels.shape[0] // 2 * 2), slice(0, pixels.shape[1] // 2 * 2))
        pixels = box_down(pixels[even])
        maps = [m[even][::2, ::2] for m in maps]
    if zoom != 1.0:
        shape = (round(pixels.shape[0] * zoom), round(pixels.shape[1] * zoom))
        pixels = resize(pixels, (*shape, 3), order=3, preserve_range=True).round().astype(np.uint8)
        maps = [_nearest(m, shape) for m in maps]
    item = PackItem(
        name=name,
        source=folder.name,
        mpp=mpp,
        organ=organ,
        caption=caption,
        has_nuclei=instances is not None,
        has_classes=classes is not None,
        has_tissue=gland is not None,
    )
    tissue = np.zeros(pixels.shape[:2], np.uint8)
    if gland is not None:
        tissue = _tissue(pixels, maps[2] > 0)
    return Sample(item, pixels, maps[0], maps[1].astype(np.int32), tissue, maps[3])


def _nearest(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    y, x = (
        ((np.arange(new) + 0.5) * (old / new)).astype(int)
        for new, old in zip(shape, labels.shape, strict=True)
    )
    return labels[np.ix_(y, x)]


def _tissue(pixels: NDArray[np.uint8], gland: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Gland 1, stroma 2, and wide bright patches: lumen 3 inside glands, glass 4 outside."""
    bright = remove_small_objects(label(pixels.mean(-1) > _BRIGHT), max_size=150) > 0
    tissue = np.where(gland, 1, 2).astype(np.uint8)
    tissue[bright & gland] = 3
    tissue[bright & ~gland] = 4
    return tissue


def _mask(path: Path) -> NDArray[Any]:
    return np.array(read_picture(path).ids())
