"""The text beside a judge's weights: what it is, what it learned from, how well it does."""

from __future__ import annotations

from napari_histodiff.judge.folder import JudgeInfo

__all__ = ["first_card"]

_CARD = """---
license: cc-by-nc-sa-4.0
tags: [histopathology, h-and-e, nuclei, segmentation]
---

# The judge: {name}

A small network that finds nuclei in H&E, and says of each which of six classes it is.

**Not for diagnosis.** Licence: {licence}, because the images it learned from are.

- Trained on {samples:,} crops of 128 px at {low} to {high} um/px; it never saw generated images.
- Training nuclei by class: {counts}. "Inflammatory" nuclei without a finer label were taught as
  one of neutrophil, lymphocyte, plasma and eosinophil.
- Held out to choose settings on: {held_out}.
"""


def first_card(info: JudgeInfo, samples: int) -> str:
    """Return the model card of a judge that saw `samples` crops, before it is measured."""
    return _CARD.format(
        name=info.name,
        licence=info.licence,
        samples=samples,
        low=info.mpp[0],
        high=info.mpp[1],
        counts=", ".join(f"{name} {count:,}" for name, count in info.class_counts.items()),
        held_out=", ".join(info.held_out) or "none",
    )
