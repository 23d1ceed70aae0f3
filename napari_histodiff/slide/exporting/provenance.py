"""What in an exported image is synthetic, and how it was made: for people, and as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.core.steering.strengths import steering_text

__all__ = ["PROVENANCE_VERSION", "EditMark", "Extent", "Provenance", "sha256_of"]

#: Version of the JSON description.
PROVENANCE_VERSION: Final = 1

#: How much of an image is synthetic.
Extent = Literal["all", "part", "none"]

_MASKS: Final = ("edit_mask", "strength_map", "class_map", "instance_map", "tissue_map")


def sha256_of(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's bytes in C order, as hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMark:
    """One edit that an image shows.

    Attributes
    ----------
    kind : str
        `EditKind`.
    y, x, height, width : int
        Where, in pixels of the exported image's full resolution.
    level : int
        The pyramid level it was made at.
    mpp : float
        Micrometres per pixel it was drawn at.
    caption, seed, guidance_scale, steps, strength
        As in `EditRequest`.
    model, revision : str
        What drew it; the revision names the weights.
    masks : dict
        SHA-256 of each map it was drawn from, and of a reference, by name.
    steering : str
        What steered it beside paint and caption, in words; strengths of parts too.
    """

    kind: str
    y: int
    x: int
    height: int
    width: int
    level: int
    mpp: float
    caption: str
    seed: int
    guidance_scale: float
    steps: int
    strength: float
    model: str
    revision: str
    masks: dict[str, str] = field(default_factory=dict)
    region_captions: dict[str, str] = field(default_factory=dict)
    steering: str = ""

    @classmethod
    def of(cls, request: EditRequest, model: str, revision: str) -> EditMark:
        """Return the mark of an edit on a slide, its region in ARRAY coordinates."""
        drawn = request.drawn
        level = drawn.level
        maps = {name: getattr(request, name) for name in _MASKS}
        maps["reference"] = request.steering.reference
        return cls(
            kind=str(request.kind),
            y=drawn.y << level,
            x=drawn.x << level,
            height=drawn.height << level,
            width=drawn.width << level,
            level=level,
            mpp=request.mpp,
            caption=request.caption,
            seed=request.seed,
            guidance_scale=request.guidance_scale,
            steps=request.steps,
            strength=request.strength,
            model=request.model_name or model,
            revision=request.model_revision or revision,
            masks={name: sha256_of(array) for name, array in maps.items() if array is not None},
            region_captions=dict(request.region_captions),
            steering=steering_text(request),
        )

    @property
    def region(self) -> Region:
        """Where, in pixels of the image's full resolution."""
        return Region(0, self.y, self.x, self.height, self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What in an image is synthetic.

    Attributes
    ----------
    extent : {"all", "part", "none"}
        How much of it.
    source : dict
        What it was exported from, ready for JSON.
    edits : tuple of EditMark
        Those whose descriptions are kept, oldest first.
    forgotten : int
        How many more were made whose descriptions are not kept any more.
    model, revision, caption, seed
        Of a slide that is synthetic as a whole.
    share : float, optional
        Share of the pixels at full resolution that are synthetic, where it was measured.
    notes : tuple of str
        What else a reader should know.
    """

    extent: Extent
    source: dict[str, Any]
    edits: tuple[EditMark, ...] = ()
    forgotten: int = 0
    model: str = ""
    revision: str = ""
    caption: str = ""
    seed: int | None = None
    share: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """What is synthetic, in sentences."""
        drawn_by = ", ".join(f"{name} ({weights})" for name, weights in self.models)
        if self.extent == "none":
            said = ["Nothing in this image was drawn by a model of napari-histodiff."]
        elif self.extent == "all":
            said = [
                f"All of this image is synthetic: it was drawn by the model {drawn_by} and shows "
                "the tissue of no patient."
            ]
        else:
            share = "" if self.share is None else f", {self.share:.2%} of its pixels"
            said = [
                f"Parts of this image are synthetic{share}: they were drawn by the model "
                f"{drawn_by or 'of an unknown name'}. Everything else is the scan."
            ]
        if self.caption:
            said.append(f'It was asked for as "{self.caption}".')
        if self.edits or self.forgotten:
            count = len(self.edits) + self.forgotten
            said.append(f"{count} {'edit is' if count == 1 else 'edits are'} part of it.")
        if self.forgotten:
            said.append(f"How {self.forgotten} of them were made is not recorded any more.")
        said += self.notes
        if self.extent != "none":
            said.append("Not for diagnosis.")
        return " ".join(said)

    @property
    def models(self) -> tuple[tuple[str, str], ...]:
        """Name and revision of every model that drew a part of it, each once."""
        all_of_them = [(self.model, self.revision), *((e.model, e.revision) for e in self.edits)]
        return tuple(dict.fromkeys(pair for pair in all_of_them if pair[0]))

    def within(self, region: Region) -> Provenance:
        """Return that of a part of the image, in its own coordinates; see `ExportSource.part`."""
        shown = [edit for edit in self.edits if not edit.region.intersect(region).is_empty]
        moved = tuple(replace(e, y=e.y - region.y, x=e.x - region.x) for e in shown)
        place = {"y": region.y, "x": region.x, "height": region.height, "width": region.width}
        return replace(self, edits=moved, source=self.source | {"part": place})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "histodiff_provenance": PROVENANCE_VERSION,
            "made_by": f"napari-histodiff {version('napari-histodiff')}",
            "synthetic": self.extent != "none",
            "extent": self.extent,
            "statement": self.statement,
            "share": self.share,
            "models": [{"name": name, "revision": weights} for name, weights in self.models],
            "caption": self.caption,
            "seed": self.seed,
            "edits": [asdict(edit) for edit in self.edits],
            "edits_not_recorded": self.forgotten,
            "source": self.source,
        }

    def pairs(self) -> Iterable[tuple[str, str]]:
        """Yield the same in short, as names and values that programs list."""
        yield "Synthetic", {"all": "yes, all of it", "part": "in part", "none": "no"}[self.extent]
        for name, weights in self.models:
            yield "Model", f"{name}, revision {weights}"
        if self.caption:
            yield "Caption", self.caption
        if self.seed is not None:
            yield "Seed", str(self.seed)
        for number, edit in enumerate(self.edits, start=1):
            masks = "".join(f", {name} sha256 {value}" for name, value in edit.masks.items())
            regions = "".join(
                f', of {name} "{said}"' for name, said in edit.region_captions.items()
            )
            steered = f", {edit.steering}" if edit.steering else ""
            yield (
                f"Edit {number}",
                f"{edit.kind} at x {edit.x}, y {edit.y}, {edit.width} x {edit.height} px, "
                f'seed {edit.seed}, caption "{edit.caption}"{regions}{steered}, '
                f"model {edit.model} {edit.revision}{masks}",
            )
