"""Every phrase the caption parser knows, and what it means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from napari_histodiff.core.captions.slots import CLASS_NOUNS, LEVELS, ORGANS, STAINS, TISSUE_WORDS

__all__ = ["LONGEST", "PHRASES", "WORDS", "Kind", "Meaning", "class_said", "entries", "fold"]


class Kind(Enum):
    """What role a phrase plays in a caption."""

    ORGAN = auto()
    STAIN = auto()
    CLASS = auto()
    LEVEL = auto()
    TISSUE = auto()
    STOP = auto()
    JOIN = auto()
    BREAK = auto()
    FOREIGN = auto()


@dataclass(frozen=True, slots=True)
class Meaning:
    """A kind and the position in that kind's list; 0 for kinds without values."""

    kind: Kind
    value: int = 0


_SPELLING: Final = (
    ("tumour", "tumor"),
    ("haemat", "hemat"),
    ("leuco", "leuko"),
    ("fibre", "fiber"),
    ("colour", "color"),
)

_PLURALS: Final = {"nuclei": "nucleus", "lumina": "lumen", "stromata": "stroma", "acini": "acinus"}


def fold(word: str) -> str:
    """Return the form under which a word is looked up: lower case, American, singular."""
    word = word.casefold()
    for british, american in _SPELLING:
        word = word.replace(british, american)
    if word in _PLURALS:
        return _PLURALS[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and re.search(r"[^siu]s$", word):
        return word[:-1]
    return word


_ORGAN_PHRASES: Final = {
    "colon": "colonic, colorectal, colorectum, rectum, rectal, sigmoid, large bowel, "
    "large intestine",
    "breast": "mammary",
    "lung": "pulmonary, bronchial, bronchus",
    "kidney": "renal, nephric",
    "liver": "hepatic",
    "prostate": "prostatic",
    "bladder": "urinary bladder, vesical",
    "stomach": "gastric",
    "brain": "cerebral, cerebrum, cortical brain",
    "lymph node": "lymphnode, nodal, lymphatic node",
    "skin": "cutaneous, dermal, dermis, epidermis, epidermal",
    "head and neck": "head & neck, head neck, oral, larynx, laryngeal, pharynx, pharyngeal, tongue",
}

_STAIN_PHRASES: Final = {
    "pale": "light, lightly stained, faint, faintly stained, weak stain, weakly stained, washed "
    "out, faded",
    "balanced": "normal stain, normally stained, well stained, standard stain, regular stain, even",
    "dark": "darkly stained, deep stain, deeply stained, strong stain, strongly stained, intense, "
    "intensely stained, heavily stained, overstained, hyperchromatic",
    "pink": "pinkish, reddish, eosinophilic, rosy",
    "purple": "purplish, violet, blue, bluish, basophilic",
}

_CLASS_PHRASES: Final = {
    "neutrophils": "neutrophil granulocyte, neutrophilic granulocyte, neutrophilic, neutrophil "
    "cell, neutrophilic cell, neutrophilic infiltrate, neut, PMN, polymorph, "
    "polymorphonuclear, polymorphonuclear cell, polymorphonuclear leukocyte",
    "epithelial cells": "epithelial, epithelium, epithelia, epithelial nucleus, tumor cell, "
    "tumor nucleus, tumoral cell, cancer cell, cancer nucleus, carcinoma cell, malignant cell, "
    "malignant nucleus, neoplastic cell, neoplastic nucleus, malignant epithelial, malignant "
    "epithelium, enterocyte, colonocyte, goblet cell, keratinocyte, hepatocyte, urothelium, "
    "urothelial cell, glandular cell, glandular nucleus, epitheliocyte",
    "lymphocytes": "lymphocytic, lymphocytic cell, lymphocytic infiltrate, lymphoid, lymphoid "
    "cell, lymphoid infiltrate, lymphoid aggregate, lymphocyte nucleus, lymphocyte cell, TIL, "
    "tumor infiltrating lymphocyte, lympho, t cell, b cell, t lymphocyte, b lymphocyte",
    "plasma cells": "plasma, plasmacyte, plasma nucleus, plasma cell nucleus, plasmacytic, "
    "plasmacytic infiltrate",
    "eosinophils": "eos, eosinophil cell, eosinophil granulocyte, eosinophilic granulocyte, "
    "eosinophilic cell, eosinophilic infiltrate",
    "connective cells": "connective, connective tissue, connective tissue cell, connective "
    "nucleus, connective tissue nucleus, fibroblast, myofibroblast, fibrocyte, fibroblastic, "
    "fibroblastic cell, stromal cell, stromal nucleus, stroma cell, stroma nucleus, spindle cell, "
    "endothelium, endothelial cell, mesenchymal cell",
}

_LEVEL_PHRASES: Final = {
    "no": "none, zero, without, neither, not, non, absent, absence of, not present, free of, free "
    "from, devoid of, lack of, lacking, never, nil",
    "low": "few, a few, very few, fewer, little, sparse, sparsely, rare, rarely, occasional, "
    "occasionally, scarce, scant, scanty, minimal, isolated, single, poor, poor in, not many, "
    "not much, not dense, low level, small number, small amount, hardly any, mild, very low, less",
    "medium": "moderate, moderately, intermediate, some, several, scattered, mid, average, "
    "present, presence of, medium level, middle, mixed with",
    "high": "many, very many, much, numerous, abundant, abundance of, dense, densely, densely "
    "packed, packed, packed with, rich, rich in, lot, lot of, a lot, a lot of, plenty, plenty of, "
    "full of, heavy, marked, marked number, prominent, predominant, predominantly, mostly, most, "
    "mainly, high level, large number, large amount, very high, severe, crowded, more, dominant, "
    "dominated by",
}

_TISSUE_PHRASES: Final = {
    "gland": "glandular, crypt, acinus, acinar, duct, ductal, tubule, tubular, glandular structure",
    "stroma": "stromal, desmoplastic, desmoplasia, fibrous, fibrosis, fibrotic, lamina propria, "
    "stromal tissue",
    "lumen": "luminal, gland lumen, glandular lumen",
    "tumour": "tumoral, tumorous, cancer, cancerous, carcinoma, adenocarcinoma, malignant, "
    "malignancy, neoplasm, neoplastic, neoplasia, tumor tissue",
    "inflammation": "inflamed, inflammatory, inflammatory infiltrate, inflammatory cell",
    "smooth muscle": "muscle, muscular, muscularis, muscularis propria, smooth muscle cell",
    "mucus": "mucin, mucinous, mucous",
    "fat": "fatty, adipose, adipose tissue, adipocyte, fat cell, fat tissue",
    "vessel": "blood vessel, vascular, vasculature, capillary, artery, arterial, arteriole, vein, "
    "venous, venule",
    "necrosis": "necrotic, necrotic debris",
}

_PLAIN: Final = {
    Kind.STOP: "a, an, the, of, is, are, be, there, this, that, to, it, its, at, by, as, any, for, "
    "tissue, cell, nucleus, nuclear, image, picture, photo, patch, tile, slide, section, region, "
    "area, field, view, histology, histological, histopathology, pathology, microscopy, "
    "micrograph, H&E, H & E, H and E, HE, HE stain, H&E stain, hematoxylin, eosin, hematoxylin "
    "and eosin, stain, stained, staining, stain look, look, number, amount, level, density, count, "
    "percentage, fraction, show, showing, very, rather, quite, infiltrate, infiltration",
    Kind.JOIN: "and, or, nor, plus, as well as",
    Kind.BREAK: "with, but, in, inside, within, on, around, near, between, among, next to, "
    "surrounded by, containing, while, where, from",
    Kind.FOREIGN: "gall bladder, small bowel, small intestine, bone marrow, mast cell, giant cell, "
    "immune cell, squamous cell, red blood cell, blood cell",
}


def entries() -> Iterator[tuple[tuple[str, ...], Meaning]]:
    """Yield every phrase, as folded words, with its meaning."""
    valued = (
        (Kind.ORGAN, ORGANS, _ORGAN_PHRASES),
        (Kind.STAIN, STAINS, _STAIN_PHRASES),
        (Kind.CLASS, CLASS_NOUNS, _CLASS_PHRASES),
        (Kind.LEVEL, LEVELS, _LEVEL_PHRASES),
        (Kind.TISSUE, TISSUE_WORDS, _TISSUE_PHRASES),
    )
    for kind, names, synonyms in valued:
        for value, name in enumerate(names):
            for phrase in (name, *synonyms[name].split(", ")):
                yield _folded(phrase), Meaning(kind, value)
                if kind is Kind.STAIN:
                    yield _folded(f"{phrase} stain"), Meaning(kind, value)
    for kind, phrases in _PLAIN.items():
        for phrase in phrases.split(", "):
            yield _folded(phrase), Meaning(kind)


def _folded(phrase: str) -> tuple[str, ...]:
    return tuple(fold(word) for word in re.findall(r"[^\W_]+|&", phrase))


#: Folded words of each phrase -> meaning; the parser takes the longest match.
PHRASES: Final = dict(entries())


def class_said(phrase: str) -> int | None:
    """Return the class of nuclei, 1-6, that a phrase means, as "Plasma cells"; None for others."""
    meaning = PHRASES.get(_folded(phrase))
    return meaning.value + 1 if meaning is not None and meaning.kind is Kind.CLASS else None


#: Words in the longest phrase.
LONGEST: Final = max(len(words) for words in PHRASES)

#: Every word of every phrase; all others are unknown.
WORDS: Final = frozenset(word for words in PHRASES for word in words)
