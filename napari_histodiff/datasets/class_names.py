"""Which class a nucleus belongs to by the name that other programs give it."""

from __future__ import annotations

from typing import Final

from napari_histodiff.core.maps import CLASS_NAMES

__all__ = ["INFLAMMATORY", "SYNONYMS", "class_of"]

#: Other names of the classes: singular, lower case, without "cell" or "nucleus" at the end.
SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "neutrophil": ("polymorphonuclear", "pmn"),
    "epithelial": (
        "epithelium",
        "tumor",
        "tumour",
        "tumor epithelial",
        "tumour epithelial",
        "malignant epithelial",
        "benign epithelial",
        "healthy epithelial",
        "normal epithelial",
        "dysplastic/malignant epithelial",
        "neoplastic",
        "neoplastic epithelial",
        "non neoplastic epithelial",
        "cancer",
        "carcinoma",
        "malignant",
        "gland",
        "glandular",
    ),
    "lymphocyte": ("lymphoid", "immune", "til", "lymph"),
    "plasma": ("plasmacyte", "plasmocyte"),
    "eosinophil": ("eosinophilic granulocyte",),
    "connective": (
        "connective tissue",
        "stroma",
        "stromal",
        "fibroblast",
        "fibrocyte",
        "muscle",
        "smooth muscle",
        "endothelial",
        "endothelium",
        "spindle shaped",
        "spindle",
    ),
}

#: Names of the mixture of lymphocytes, plasma cells, neutrophils and eosinophils: class unknown.
INFLAMMATORY: Final = frozenset({"inflammatory", "inflammation", "inflamed", "leukocyte"})

_TABLE: Final = {
    word: CLASS_NAMES.index(name) + 1 for name in CLASS_NAMES for word in (name, *SYNONYMS[name])
}
_ENDINGS: Final = (" cells", " cell", " nuclei", " nucleus")


def class_of(name: str) -> int | None:
    """Return the class id 1-6 of a nucleus by `name`, 0 for a mixture, None for an unknown name.

    Case, plural, underscores, hyphens and a last word "cell" or "nucleus" do not matter; of a
    derived QuPath class such as "Tumor: Positive" the first part counts.
    """
    word = " ".join(name.split(":")[0].lower().replace("_", " ").replace("-", " ").split())
    for ending in _ENDINGS:
        word = word.removesuffix(ending)
    for form in (word, word.removesuffix("s")):
        if form in _TABLE:
            return _TABLE[form]
        if form in INFLAMMATORY:
            return 0
    return None
