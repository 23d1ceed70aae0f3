"""Whether a fresh critic tells drawn from real tissue, and by what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from napari_histodiff.evaluation.metrics.appearance import APPEARANCE_NAMES
from napari_histodiff.evaluation.metrics.critic import CriticScore, critic_auc
from napari_histodiff.evaluation.metrics.intervals import Interval
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.panels import Panel
from napari_histodiff.evaluation.tables import Section, Table

__all__ = ["critic_score", "critic_section"]

_CLUES: Final = 10


def critic_score(real: Panel, other: Panel, size: int) -> CriticScore:
    """Return how well a critic tells `other` from `real` on tiles it was not fitted on."""
    tiles = real.everything
    a, b = real.looks(size), other.looks(size)
    learnt = a.by_tile[0].shape[1] - len(APPEARANCE_NAMES)
    names = [*(f"judge feature {i}" for i in range(learnt)), *APPEARANCE_NAMES]
    ours, theirs = a.groups(tiles), b.groups(tiles)
    return critic_auc(a.of(tiles), b.of(tiles), ours, theirs, names=names, top=_CLUES)


def critic_section(
    real: Panel, drawn: Panel, others: Sequence[Panel], options: StudyOptions
) -> Section:
    """Return the critic's AUC for drawn tissue, and for real tissue changed in known ways."""
    size = options.size // 4
    table = Table("critic", "Told from real tissue", ("AUC", "crops", "tiles"))
    clues = Table("clues", "What the critic goes by, drawn tissue", ("weight",))
    for panel in (drawn, *others):
        score = critic_score(real, panel, size)
        interval = Interval(score.auc, score.low, score.high)
        table.rows[panel.name] = (interval, score.n_generated, score.tiles)
        if panel is drawn:
            clues.rows.update({name: (weight,) for name, weight in score.top})
    text = (
        f"A classifier fitted to tell crops of {size} px from real ones by the judge's features "
        "and plain statistics of appearance, tested on tiles it was not fitted on. Area under the "
        "ROC curve: at 0.5 or below it cannot tell, at 1 it always can. Mirrored real tissue shows "
        "what chance looks like here; blurred (Gaussian of 1 px) and shuffled (blocks of 8 px) "
        "what is seen at a glance. A positive weight speaks for drawn tissue."
    )
    return Section("critic", "Can a fresh critic tell?", text, [table, clues])
