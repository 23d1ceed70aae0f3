"""Contract of a backend: what draws the pixels of requests, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS, EditRequest
from napari_histodiff.core.stain_bank import StainEntry
from napari_histodiff.core.steering.guides import CLIMBS
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.core.steering.strengths import with_levels

__all__ = [
    "Backend",
    "BackendFactory",
    "BackendInfo",
    "Captions",
    "Guidable",
    "OnStep",
    "Step",
    "drawn_apart",
    "guided",
]

#: What becomes of a caption, see `BackendInfo.captions`.
Captions = Literal["vocabulary", "text", "none"]


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What a backend is and was trained on; shown in the dock and kept with every result.

    Attributes
    ----------
    name, revision : str
        Model name and a hash of its weights.
    mpp : tuple of float
        Smallest and largest micrometres per pixel the model was trained on.
    class_counts : dict of str to int
        Training nuclei of each class name; 0 = never seen.
    tissue_names : tuple of str
        Tissue schema, index = id, 0 is "unspecified".
    window : int
        Side in pixels of what the model sees at once.
    multiple_of : int
        Frames are snapped to multiples of this many pixels in the interface.
    device : str
        For example "cpu (float32)", "cpu (bfloat16, OpenVINO)" or "cuda:0 (bfloat16)".
    seconds_per_window : float
        Measured time of one network evaluation of one window, for estimates.
    licence : str
        Licence of the weights.
    solver_order : int
        Network evaluations a solver step takes; the last step always takes one.
    jump_steps : int
        Up to this many steps are jumps: one evaluation each, whatever the guidance; 0 = none.
    margin : int
        Pixels around a tile that its conditions must reach when it is drawn on the endless plane
        (`EditRequest.target`).
    stains : tuple of StainEntry
        Stains of the training slides, for choosing one by caption and seed.
    paint : tuple of str
        Which paint it is told of: "nuclei", "tissue", both or neither.
    captions : str
        What becomes of a caption: "vocabulary", it is read word by word (`core.captions`); "text",
        it goes as it is written to a text encoder; "none", the model takes no words.
    steps, guidance_scale : int, float
        What it is drawn with where nothing is asked for.
    kind : str
        Class of its pipeline, where it is of other makers.
    nbytes : int
        Of its weights; 0 = not known.
    fibres : bool
        Whether what it draws on the endless plane follows `EditRequest.fibres`.
    coarse_levels : int
        The most `EditRequest.coarse_levels` it draws from.
    reach : (float, float), optional
        Micrometres per pixel at which frames are drawn, beyond `mpp` by resampling; by default no
        others than `mpp`.
    """

    name: str
    revision: str
    mpp: tuple[float, float]
    class_counts: dict[str, int]
    tissue_names: tuple[str, ...]
    window: int
    multiple_of: int
    device: str
    seconds_per_window: float
    licence: str
    solver_order: int = 1
    jump_steps: int = 0
    margin: int = 0
    stains: tuple[StainEntry, ...] = ()
    paint: tuple[str, ...] = ("nuclei", "tissue")
    captions: Captions = "vocabulary"
    steps: int = DEFAULT_STEPS
    guidance_scale: float = DEFAULT_GUIDANCE
    kind: str = ""
    nbytes: int = 0
    fibres: bool = False
    coarse_levels: int = 1
    reach: tuple[float, float] | None = None

    @property
    def frames_mpp(self) -> tuple[float, float]:
        """Smallest and largest micrometres per pixel of a frame."""
        return self.mpp if self.reach is None else self.reach

    def drawn_mpp(self, mpp: float) -> float | None:
        """Return the um per pixel at which a frame of so many is drawn; None beyond `reach`."""
        low, high = self.frames_mpp
        # A per mille of tolerance: scanners write 0.4991 and mean 0.5.
        if not low * 0.999 <= mpp <= high * 1.001:
            return None
        known = min(max(mpp, self.mpp[0]), self.mpp[1])
        return mpp if abs(mpp - known) <= 0.001 * known else known

    def check_tissue(self, request: EditRequest) -> None:
        """Refuse a tissue map that is not in the schema of the model.

        Raises
        ------
        InvalidRequest
            When it has ids beyond `tissue_names`.
        """
        names = self.tissue_names
        painted = 0 if request.tissue_map is None else int(request.tissue_map.max())
        if painted >= len(names):
            raise InvalidRequest(
                f"expected tissue ids 0 to {len(names) - 1} of {self.name}, got {painted}; "
                f"repaint with {', '.join(names)}"
            )

    def check_coarse(self, request: EditRequest) -> None:
        """Refuse a coarse image that is too coarse for the model.

        Raises
        ------
        InvalidRequest
            When it is of more than `coarse_levels` levels up.
        """
        if request.coarse_levels > self.coarse_levels:
            raise InvalidRequest(
                f"expected a coarse image at most {self.coarse_levels} level up for {self.name}, "
                f"got one {request.coarse_levels} up; draw the level between them first"
            )

    def evaluations_per_window(
        self,
        steps: int,
        guidance_scale: float,
        steering: Steering | None = None,
        strengths: Sequence[float] = (1.0,),
    ) -> int:
        """Return about how many network evaluations one variant of one window costs.

        A gradient of a score, which takes about as long, counts as one. `strengths` are those of
        the parts of an edit mask, the largest first: only steps below that one are taken, and the
        bundled model begins weaker parts at steps of their own.
        """
        steering = steering or Steering()
        used = max(1, round(steps * strengths[0]))
        even = tuple(strengths[0] * (used - i) / used for i in range(used + 1))
        taken = steering.taken(len(even if self.kind else with_levels(even, strengths)) - 1)
        jumps = steps <= self.jump_steps
        calls = taken if jumps else self.solver_order * (taken - 1) + 1
        passes = 1 if jumps or guidance_scale <= 1 else 2
        return calls * passes + (calls - 1) * CLIMBS * steering.scores


@dataclass(frozen=True, slots=True)
class Step:
    """One finished network evaluation, handed to `OnStep`.

    `preview()` makes the current estimate of the variant in work, (h, w, 3) uint8, on demand.
    """

    done: int
    total: int
    preview: Callable[[], NDArray[np.uint8]]


#: Called after every network evaluation; raise `Cancelled` to stop the render there.
OnStep = Callable[[Step], None]


@runtime_checkable
class Backend(Protocol):
    """Draws requests of any size; the one code path for generate, inpaint, outpaint and zoom."""

    @property
    def info(self) -> BackendInfo:
        """What this backend is."""

    def evaluations(self, request: EditRequest) -> int:
        """Return how many network evaluations of one window `render` will spend on `request`."""

    def render(
        self, requests: Sequence[EditRequest], *, on_step: OnStep | None = None
    ) -> list[NDArray[np.uint8]]:
        """Draw each request; element i is (variants, h, w, 3) uint8 of `requests[i]`."""


@runtime_checkable
class Guidable(Protocol):
    """A backend that a function of its own process can guide."""

    def guided_by(self, score: Callable[[Any], Any]) -> Backend:
        """Return a backend of the same model whose requests guided by "python" climb a score."""


def guided(backend: Backend, score: Callable[[Any], Any] | None) -> Backend:
    """Return a backend that a function guides; the same where there is none.

    Raises
    ------
    InvalidRequest
        When the backend draws elsewhere, where no function of this process reaches.
    """
    if score is None:
        return backend
    if not isinstance(backend, Guidable):
        raise InvalidRequest(
            f"expected a model in this process to guide by a function, got {backend.info.name} "
            "elsewhere; guide by a name, or load the model with load_model"
        )
    return backend.guided_by(score)


#: Makes a backend inside the worker process; must be picklable (a module-level function or a
#: `functools.partial` of one).
BackendFactory = Callable[[], Backend]


def drawn_apart(
    request: EditRequest,
    draw: Callable[[EditRequest, OnStep | None], NDArray[np.uint8]],
    evaluations: Callable[[EditRequest], int],
    on_step: OnStep | None,
) -> NDArray[np.uint8]:
    """Draw a request whose variants have structures of their own, one after the other.

    Parameters
    ----------
    request : EditRequest
    draw : callable
        Draws a request of one structure, (variants, h, w, 3) uint8, and tells its steps.
    evaluations : callable
        How many steps that tells.
    on_step : callable, optional
        Told of the steps of all of them.
    """
    parts = request.apart
    if len(parts) == 1:
        return draw(request, on_step)
    counts = [evaluations(part) for part in parts]
    total, images = sum(counts), []
    for number, part in enumerate(parts):
        images.append(draw(part, _shifted(on_step, sum(counts[:number]), total)))
    return np.concatenate(images)


def _shifted(on_step: OnStep | None, before: int, total: int) -> OnStep | None:
    if on_step is None:
        return None
    return lambda step: on_step(replace(step, done=before + step.done, total=total))
