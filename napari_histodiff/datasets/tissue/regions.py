"""Annotated regions of an image as tissue: GeoJSON as of QuPath, XML of ImageScope and ASAP."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidMap, TrainingError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.annotations.reading import annotations_of
from napari_histodiff.datasets.outlines import Outline, rasterise

__all__ = ["TissueRegions", "read_regions", "tissue_of"]

#: What people and data sets call the tissues, besides their names; singular and in small letters.
_SYNONYMS: Final[Mapping[str, str]] = {
    "gland": "epithelium, epithelial, crypt, tumor, tumour, cancer, carcinoma, adenocarcinoma, "
    "adenoma, normal mucosa, normal epithelium, normal colon mucosa, benign, malignant, duct, "
    "acinus, tubule, norm, tum, tumor epithelium, tumour epithelium, colorectal adenocarcinoma "
    "epithelium, malignant epithelium",
    "stroma": "stromal, connective, connective tissue, fibrous, fibrous tissue, fibrosis, lamina "
    "propria, submucosa, desmoplasia, tumor stroma, tumour stroma, cancer associated stroma, str",
    "lumen": "luminal, lumina, gland lumen",
    "glass": "background, back, empty, white, whitespace, white space, slide",
    "muscle": "smooth muscle, muscularis, muscularis propria, muscularis mucosae, muscular, mus",
    "fat": "adipose, adipose tissue, adipocyte, fatty tissue, adi",
    "blood": "red blood cell, erythrocyte, rbc, haemorrhage, hemorrhage",
    "mucus": "mucin, mucous, extracellular mucin, muc",
    "lymphoid": "lymphocyte, lymphoid tissue, lymphoid aggregate, lymphoid follicle, follicle, "
    "lymph follicle, immune cell, tls, tertiary lymphoid structure, lym",
    "necrosis": "necrotic, debris, necrotic debris, necrotic tissue, deb",
    "vessel": "blood vessel, vascular, artery, arteriole, vein, venule, capillary",
}

_ID_OF: Final = {
    word.strip(): TISSUE_NAMES.index(name)
    for name, words in _SYNONYMS.items()
    for word in (name, *words.split(","))
}


def tissue_of(name: str) -> int | None:
    """Return the tissue that a class name of another program means; None when it means none.

    Case, plural and punctuation do not count. Of a derived class of QuPath ("Tumor: Positive") the
    first part counts when the whole means nothing.
    """
    for said in (name, name.split(":")[0]):
        words = " ".join(re.findall(r"[a-z]+", said.lower()))
        for word in (words, words.removesuffix("s"), words.removesuffix("es")):
            if word in _ID_OF:
                return _ID_OF[word]
    return None


@dataclass(frozen=True, slots=True, eq=False)
class TissueRegions:
    """Outlined regions of an image.

    Attributes
    ----------
    outlines : tuple of Outline
        In pixels of level 0, from the corner of the first one.
    tissue : tuple of int
        What each of them is, ids of `core.maps.TISSUE_NAMES`.
    left_out : Counter of str
        Objects that are no tissue, by why not.
    """

    outlines: tuple[Outline, ...]
    tissue: tuple[int, ...]
    left_out: Counter[str]

    def within(self, region: Region, first: tuple[int, int] = (0, 0)) -> NDArray[np.uint8]:
        """Return the tissue map of a region of any level, (h, w) uint8; 0 outside all outlines.

        Where regions overlap the smaller shows, so that a lumen lies on its gland.

        Parameters
        ----------
        region : Region
            Of the image.
        first : (int, int)
            Where on it the outlines count from, (y, x) in pixels of level 0.
        """
        moved = [_seen_from(outline, region, first) for outline in self.outlines]
        numbers, _ = rasterise(moved, region.shape)
        table = np.array([0, *self.tissue], np.uint8)
        result: NDArray[np.uint8] = table[numbers]
        return result


def read_regions(path: Path, mpp: float | None = None) -> TissueRegions:
    """Read the annotated regions of a file, such as QuPath, ImageScope and ASAP export.

    Parameters
    ----------
    path : Path
        GeoJSON or XML.
    mpp : float, optional
        Micrometres per pixel of level 0 of the image, see `annotations_of`.

    Raises
    ------
    InvalidMap
        When it is no such file, or no region's class is a tissue.
    """
    left_out: Counter[str] = Counter()
    outlines, tissue = [], []
    try:
        objects = list(annotations_of(path, left_out, mpp))
    except TrainingError as error:
        raise InvalidMap(str(error)) from error
    for found in objects:
        number = None if found.name.endswith("*") else tissue_of(found.name)
        if found.kind in {"detection", "cell", "tile", "tmacore", "root"}:
            left_out[f"{found.kind}s"] += 1
        elif number is None:
            left_out[f"class {found.name}"] += 1
        elif found.polygons:
            outlines.append(Outline(found.polygons))
            tissue.append(number)
    if not outlines:
        reasons = ", ".join(f"{why}: {n}" for why, n in left_out.items()) or "no objects"
        raise InvalidMap(
            f"expected regions of {', '.join(TISSUE_NAMES[1:])} in {path}, got none ({reasons}); "
            "give the annotations such a class and export them again"
        )
    return TissueRegions(tuple(outlines), tuple(tissue), left_out)


def _seen_from(outline: Outline, region: Region, first: tuple[int, int]) -> Outline:
    side = 1 << region.level
    corner = np.array([region.x, region.y]) - np.array(first[::-1]) / side
    return Outline([[ring / side - corner for ring in rings] for rings in outline.parts])
