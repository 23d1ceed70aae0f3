"""RePaint: steps that are taken again, so that what is drawn and what is known come to agree.

Lugmayr et al., "RePaint: inpainting using denoising diffusion probabilistic models", CVPR 2022
(arXiv 2201.09865). After some steps noise is added back and they are taken again; known pixels
replace what was drawn there each time.

Each time the lattice of windows moves, see `windows`, so that what is known spreads further than a
window. The noise belongs to places, so that no window waits for another of its lattice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.core.steering.walk import walk
from napari_histodiff.diffusion.sampling import split

__all__ = ["Stretch", "check_repaint", "stretches_of"]

#: Apart from the noise that variants begin with; see `Stretch.noise_of`.
_VARIANTS = 2**8


@dataclass(frozen=True, slots=True)
class Stretch:
    """The steps that are taken on one lattice of windows.

    Attributes
    ----------
    steps : range
        Their numbers in the schedule; `steps.stop` is where they end.
    begin : int
        Where the stretch before ended. Beyond `steps.start`, noise is added back first.
    backs : int
        How often that was done before.
    """

    steps: range
    begin: int
    backs: int = 0

    @property
    def goes_back(self) -> bool:
        """Whether noise is added back first."""
        return self.begin > self.steps.start

    def noise_of(self, variant: int) -> int:
        """Return the number of the noise field that is added back.

        No two ways back share one, nor any of them what a variant begins with.
        """
        return variant + _VARIANTS * (1 + self.backs)


def stretches_of(
    steps: int, phases: int, steering: Steering, *, from_noise: bool
) -> tuple[Stretch, ...]:
    """Return what is walked between two changes of the lattice.

    Parameters
    ----------
    steps : int
        Of the schedule.
    phases : int
        Lattices, where no step is taken again.
    steering : Steering
        How often, and how far back.
    from_noise : bool
        Whether the schedule begins with noise alone: going back there would forget all.
    """
    # From the image itself one does not go back: it has no noise of which there could be more.
    visited = (
        *walk(steps - 1, steering.repaint, steering.jump_length, top=int(from_noise)),
        steps,
    )
    turns = [n for n, (a, b) in enumerate(pairwise(visited), 1) if b < a]
    if not turns:
        parts = [range(int(p[0]), int(p[-1])) for p in split(range(steps + 1), phases)]
        return tuple(Stretch(part, part.start) for part in parts)
    ends = [*(visited[n - 1] for n in turns), steps]
    starts = [0, *(visited[n] for n in turns)]
    begins = [0, *ends[:-1]]
    return tuple(
        Stretch(range(start, end), begin, max(0, n - 1))
        for n, (start, end, begin) in enumerate(zip(starts, ends, begins, strict=True))
    )


def check_repaint(stretches: Sequence[Stretch], steering: Steering) -> None:
    """Check that steps are taken again where that is asked for.

    Raises
    ------
    InvalidRequest
        When there are too few to take any of them again.
    """
    if steering.resamples and not any(stretch.goes_back for stretch in stretches):
        raise InvalidRequest(
            f"expected at least 3 steps to take some of them again, got "
            f"{stretches[-1].steps.stop}; take more steps, or repaint=1"
        )
