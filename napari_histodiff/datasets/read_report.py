"""What was found in a folder of annotated images, to be printed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from napari_histodiff.core.maps import CLASS_NAMES

__all__ = ["UNKNOWN", "ReadReport"]

#: Name under which nuclei of unknown class are counted.
UNKNOWN: Final = "unknown"


@dataclass(slots=True)
class ReadReport:
    """Counts of what was read; filled while a folder is read, printed with `str`.

    `images`, of them `unlabelled`; `tiles` cut from them; `nuclei` by class name or "unknown";
    `unmapped`: class names of the files that mean none of the six classes, with their nuclei;
    `notes`: everything else worth knowing, with how often it happened.
    """

    images: int = 0
    unlabelled: int = 0
    tiles: int = 0
    nuclei: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys((*CLASS_NAMES, UNKNOWN), 0)
    )
    unmapped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        images = f"{self.images} images ({self.unlabelled} without labels), {self.tiles} tiles"
        nuclei = ", ".join(f"{name} {count}" for name, count in self.nuclei.items())
        lines = [images, f"nuclei: {nuclei}"]
        if self.unmapped:
            names = ", ".join(f"{name!r} {count}" for name, count in self.unmapped.most_common())
            lines.append(f"class unknown, because no class goes by that name: {names}")
        lines += [f"{note}: {count}" for note, count in self.notes.items()]
        return "\n".join(lines)
