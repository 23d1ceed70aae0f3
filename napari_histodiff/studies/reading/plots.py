"""Plots of a reader study, as pictures inside a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_histodiff.evaluation.pages import figure_uri
from napari_histodiff.studies.reading.answers import Answer
from napari_histodiff.studies.reading.figures import LONGEST, fooled, roc, roc_area

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["reader_plots"]

_WRONG: Final = "#b3400a"
_RIGHT: Final = "#5b3f8c"


def reader_plots(answers: Sequence[Answer]) -> dict[str, str]:
    """Return what each plot shows, and the plot as a `data:` address; none without its answers."""
    pairs = [a for a in answers if a.kind == "pair"]
    singles = [a for a in answers if a.kind == "single"]
    plots: dict[str, tuple[bool, Callable[[Axes], None]]] = {
        "p of each reader with exact 95 % intervals": (bool(pairs), lambda ax: _forest(ax, pairs)),
        "ROC of single images": (np.isfinite(roc_area(singles)), lambda ax: _curves(ax, singles)),
        "seconds of right and wrong answers": (
            any(a.right is not None for a in answers),
            lambda ax: _times(ax, answers),
        ),
    }
    return {name: figure_uri(draw, name) for name, (known, draw) in plots.items() if known}


def _forest(axes: Axes, pairs: Sequence[Answer]) -> None:
    readers = list(dict.fromkeys(a.reader for a in pairs))
    rows = [(r, [a for a in pairs if a.reader == r]) for r in readers]
    rows += [("all", list(pairs))] if len(readers) > 1 else []
    for y, (name, some) in enumerate(reversed(rows)):
        p = fooled(some)
        colour = _WRONG if name == "all" else _RIGHT
        axes.plot([p.low, p.high], [y, y], color=colour)
        axes.plot(p.value, y, "o", color=colour)
    axes.axvline(0.5, color="0.6", linestyle="--")
    axes.set(
        xlim=(0, 1),
        xlabel="p: drawn image called real (0.5 = cannot tell)",
        yticks=range(len(rows)),
        yticklabels=[name for name, _ in reversed(rows)],
    )


def _curves(axes: Axes, singles: Sequence[Answer]) -> None:
    readers = list(dict.fromkeys(a.reader for a in singles))
    for reader in readers if len(readers) > 1 else []:
        some = [a for a in singles if a.reader == reader]
        axes.plot(*roc(some), color="0.7", linewidth=1)
    axes.plot(*roc(singles), "o-", color=_RIGHT, label=f"all, AUC {roc_area(singles):.2f}")
    axes.plot([0, 1], [0, 1], "--", color="0.6")
    axes.set(xlabel="drawn images called real", ylabel="real images called real", aspect="equal")
    axes.legend(loc="lower right", frameon=False)


def _times(axes: Axes, answers: Sequence[Answer]) -> None:
    times = [
        [a.seconds for a in answers if a.right is right and a.seconds <= LONGEST]
        for right in (True, False)
    ]
    longest = max((t for side in times for t in side), default=1.0)
    bins = np.linspace(0, max(longest, 0.1), 21)
    for side, name, colour in zip(times, ("right", "wrong"), (_RIGHT, _WRONG), strict=True):
        label = f"{name}, {len(side)}"
        axes.hist(side, bins.tolist(), histtype="step", color=colour, linewidth=2, label=label)
    axes.set(xlabel="seconds", ylabel="answers")
    axes.legend(frameon=False)
