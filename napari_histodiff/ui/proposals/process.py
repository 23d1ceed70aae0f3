"""The segmenter in a process of its own, and what it proposes before it is painted.

The window never holds torch, and cancel is certain.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import HistodiffError, InvalidMap
from napari_histodiff.core.maps import (
    N_CLASSES,
    TISSUE_NAMES,
    as_class_map,
    as_instance_map,
    as_tissue_map,
)
from napari_histodiff.engine.process import (
    ChildProcess,
    child_command,
    child_environment,
    describe_exit,
)

__all__ = [
    "JUDGE_COMMAND",
    "UNCERTAIN",
    "DrawnBy",
    "Judge",
    "JudgeDone",
    "JudgeEvent",
    "JudgeFailed",
    "JudgeRun",
    "JudgeStep",
    "Proposal",
    "make_proposal",
]

#: The program; the names of the files with the image and for the result are added.
JUDGE_COMMAND: Final = child_command("napari_histodiff.segmenter.propose:main")

_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class DrawnBy:
    """The revision of a model, and its folder; None = the bundled one."""

    revision: str
    folder: Path | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """Arguments of `segmenter.propose`."""
        place = () if self.folder is None else ("--drawn-in", str(self.folder))
        return ("--drawn-by", self.revision, *place)


@dataclass(frozen=True, slots=True)
class JudgeStep:
    """`done` of `total` passes over the image are done."""

    done: int
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class JudgeDone:
    """The nuclei and the tissue that were found.

    `nearness` is how far the nearest training crop is, where that was asked for and can be told.
    """

    proposal: Proposal
    nearness: float | None = None


@dataclass(frozen=True, slots=True)
class JudgeFailed:
    """Why there are none; `details` is what the process wrote, for the log."""

    message: str
    details: str = ""


JudgeEvent = JudgeStep | JudgeDone | JudgeFailed


class JudgeRun:
    """One run of the judge, started at once; it cannot outlive this process.

    Parameters
    ----------
    command : sequence of str
        The program; it gets two more arguments, see `segmenter.propose`.
    image : (h, w, 3) uint8
        Pixels of the frame.
    mpp : float
        Micrometres per pixel.
    coverage : (h, w) bool
        Where pixels exist; nuclei elsewhere are left out.
    tell : callable
        Called with every event from another thread: steps, then done or failed; nothing after
        `cancel`.
    """

    def __init__(
        self,
        command: Sequence[str],
        image: NDArray[np.uint8],
        mpp: float,
        coverage: NDArray[np.bool_],
        tell: Callable[[JudgeRun, JudgeEvent], None],
    ) -> None:
        self._command = tuple(command)
        self._image, self._mpp, self._coverage = image, mpp, coverage
        self._tell = tell
        self._lock = threading.Lock()
        self._cancelled = False
        self._process: ChildProcess | None = None
        self._thread = threading.Thread(target=self._run, name="histodiff-judge", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process id, None before the process is there."""
        return None if self._process is None else self._process.pid

    def cancel(self) -> None:
        """Kill the process; returns at once, and nothing more is told. Idempotent."""
        with self._lock:
            self._cancelled = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Kill the process and wait until it is gone; idempotent."""
        self.cancel()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            with tempfile.TemporaryDirectory(
                prefix="histodiff-", ignore_cleanup_errors=True
            ) as folder:
                event = self._judge(Path(folder))
        except HistodiffError as error:
            event = JudgeFailed(str(error))
        except OSError as error:
            event = JudgeFailed(
                f"expected to start the judge and exchange files with it, got {error}; "
                "free memory and disk space, then propose again"
            )
        self._send(event)

    def _judge(self, folder: Path) -> JudgeEvent:
        source, result, words = (folder / name for name in ("in.npz", "out.npz", "stderr.txt"))
        np.savez(source, image=self._image, mpp=self._mpp)
        with words.open("wb") as stderr:
            process = self._start((*self._command, str(source), str(result)), stderr)
            if process is None:
                return JudgeFailed("cancelled")
            for line in process.lines():
                step = _step(line)
                if step is not None:
                    self._send(step)
            code = process.wait()
            process.close()
        if code != 0 or not result.exists():
            return _failure(code, words.read_text("utf-8", errors="replace"))
        with np.load(result, allow_pickle=False) as arrays:
            found = float(arrays["nearness"]) if "nearness" in arrays else math.nan
            proposal = make_proposal(arrays, self._coverage)
            return JudgeDone(proposal, None if math.isnan(found) else found)

    def _start(self, command: Sequence[str], stderr: IO[bytes]) -> ChildProcess | None:
        with self._lock:
            if self._cancelled:
                return None
            environment = child_environment(os.cpu_count() or 1)
            self._process = ChildProcess(command, environment, errors=stderr)
            return self._process

    def _send(self, event: JudgeEvent) -> None:
        if not self._cancelled:
            self._tell(self, event)


class Judge:
    """One run at a time; what it tells waits until it is asked for, on the window's thread.

    Parameters
    ----------
    command : sequence of str, optional
        Another program than `JUDGE_COMMAND`.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = JUDGE_COMMAND if command is None else tuple(command)
        self._run: JudgeRun | None = None
        self._events: deque[tuple[JudgeRun, JudgeEvent]] = deque()

    @property
    def is_running(self) -> bool:
        """Whether it looks for nuclei, or what it found was not asked for yet."""
        return self._run is not None

    @property
    def pid(self) -> int | None:
        """Process id of the run, None when there is none."""
        return None if self._run is None else self._run.pid

    def begin(
        self,
        image: NDArray[np.uint8],
        mpp: float,
        coverage: NDArray[np.bool_],
        *,
        ensemble: bool = False,
        drawn_by: DrawnBy | None = None,
    ) -> None:
        """Look for nuclei; see `JudgeRun`. Nothing more is heard of a run before.

        With `ensemble` it also says how far several proposals agree. Of what was drawn, the
        training crop of the model that is nearest is looked for, too.
        """
        more = () if drawn_by is None else drawn_by.options
        flags = ("--ensemble", *more) if ensemble else more
        self._run = JudgeRun((*self._command, *flags), image, mpp, coverage, self._put)

    def events(self) -> Iterator[JudgeEvent]:
        """Take what was told since the last call; the run is over before its last event."""
        while self._events:
            run, event = self._events.popleft()
            if run is self._run:
                if not isinstance(event, JudgeStep):
                    self._run = None
                yield event

    def cancel(self) -> None:
        """Stop looking, at once; idempotent."""
        run, self._run = self._run, None
        if run is not None:
            run.cancel()

    def close(self) -> None:
        """Stop looking, and wait until the process is gone; idempotent."""
        run, self._run = self._run, None
        if run is not None:
            run.close()

    def _put(self, run: JudgeRun, event: JudgeEvent) -> None:
        self._events.append((run, event))  # from another thread; appending is atomic


def _step(line: str) -> JudgeStep | None:
    """The step a line tells of; libraries may print other things."""
    try:
        said = json.loads(line)
        return JudgeStep(int(said["done"]), int(said["total"]))
    except (ValueError, TypeError, KeyError):
        return None


def _failure(code: int, words: str) -> JudgeFailed:
    lines = [line for line in words.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else ""
    try:
        return JudgeFailed(str(json.loads(last)["error"]), words)
    except (ValueError, TypeError, KeyError):
        pass
    got = describe_exit(code) if code < 0 or not last else last
    return JudgeFailed(
        f"expected nuclei from the judge, got {got[:300]}; "
        "propose again, with a smaller frame when memory is short",
        words,
    )


#: Nuclei at or above this uncertainty are counted as uncertain and marked with a ring. Views seldom
#: disagree more: of 533 nuclei in a real image, 36 did.
UNCERTAIN: Final = 0.2

_BASE: Final = N_CLASSES + 1


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """Nuclei numbered 1 to n in the order of the other arrays.

    Attributes
    ----------
    instance_map : (h, w) int32
        0 = background.
    classes : (n,) uint8
        Class of each nucleus, 0-6; 0 = unknown.
    uncertainty : (n,) float32
        0 = every view of the tissue agreed, 1 = none did.
    centres : (n, 2) float64
        Mean y, x in pixels of the frame.
    diameters : (n,) float64
        Of the disc of the same area, in pixels.
    tissue_map : (h, w) uint8
        Ids of `core.maps.TISSUE_NAMES`; 0 where the segmenter is in doubt.
    agreement : (n,) float32, optional
        Share of an ensemble's proposals that find each nucleus, at its place and of its class.
    entropy : (h, w) float32, optional
        How undecided the ensemble is of each pixel, 0-1.
    """

    instance_map: NDArray[np.int32]
    classes: NDArray[np.uint8]
    uncertainty: NDArray[np.float32]
    centres: NDArray[np.float64]
    diameters: NDArray[np.float64]
    tissue_map: NDArray[np.uint8]
    agreement: NDArray[np.float32] | None = None
    entropy: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        """Which nuclei are uncertain, (n,) bool."""
        marked: NDArray[np.bool_] = self.uncertainty >= UNCERTAIN
        return marked

    def shown(self, least: float) -> NDArray[np.bool_]:
        """Return which nuclei are at least that certain, (n,) bool; certainty = 1 - uncertainty."""
        # Certainties come as float32, the limit from a slider in steps of 0.01.
        chosen: NDArray[np.bool_] = 1 - self.uncertainty >= least - 1e-6
        return chosen

    def maps(self, least: float) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Return instance map and class map, (h, w), of the nuclei at least that certain."""
        ids = np.arange(1, len(self) + 1, dtype=np.int32) * self.shown(least)
        kept = np.concatenate((np.zeros(1, np.int32), ids.astype(np.int32)))[self.instance_map]
        classes = np.concatenate((np.zeros(1, np.uint8), self.classes))
        return kept, classes[kept]

    def text(self, least: float = 0.0) -> str:
        """Return what there is in words: "143 nuclei proposed (12 uncertain), 9 hidden"."""
        shown = self.shown(least)
        noun = "nucleus" if len(self) == 1 else "nuclei"
        line = f"{len(self)} {noun} proposed ({int(self.uncertain.sum())} uncertain)"
        hidden = len(self) - int(shown.sum())
        line += f", {hidden} hidden" if hidden else ""
        return f"{line}, and tissue" if self.tissue_map.any() else line


def make_proposal(arrays: Mapping[str, Any], coverage: NDArray[np.bool_]) -> Proposal:
    """Check what the judge wrote, leave out what lies on no pixels, and number the rest from 1.

    Parameters
    ----------
    arrays : mapping
        `instance_map`, `class_map`, `ids`, `uncertainty` and `tissue_map` as `segmenter.propose`
        writes them.
    coverage : (h, w) bool
        Where the frame has pixels.

    Raises
    ------
    InvalidMap
        When an array is missing or invalid, or they do not belong together.
    """
    wanted = ("instance_map", "class_map", "ids", "uncertainty", "tissue_map")
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise _unexpected(f"no {', '.join(missing)}")
    found = as_instance_map(arrays["instance_map"])
    classes = as_class_map(arrays["class_map"])
    ids, uncertainty = np.asarray(arrays["ids"]), np.asarray(arrays["uncertainty"], np.float32)
    tissue = as_tissue_map(arrays["tissue_map"], len(TISSUE_NAMES))
    if not found.shape == classes.shape == tissue.shape == coverage.shape:
        raise _unexpected(f"maps of {found.shape} and {classes.shape} for {coverage.shape} px")
    if ids.ndim != 1 or uncertainty.shape != ids.shape or not np.isin(found[found > 0], ids).all():
        raise _unexpected(f"{len(uncertainty)} uncertainties for other nuclei")
    if not ((uncertainty >= 0) & (uncertainty <= 1)).all():
        raise _unexpected("uncertainties outside 0-1")
    agreement, entropy = (
        np.asarray(arrays[name], np.float32) if name in arrays else None
        for name in ("agreement", "entropy")
    )
    if agreement is not None and agreement.shape != ids.shape:
        raise _unexpected(f"{len(agreement)} agreements for {len(ids)} nuclei")
    if entropy is not None and entropy.shape != found.shape:
        raise _unexpected(f"an entropy of {entropy.shape} for {found.shape} px")
    found = np.where(coverage, found, 0)
    present, numbered = np.unique(found, return_inverse=True)
    if not present.size or present[0] != 0:
        present, numbered = np.concatenate(([0], present)), numbered + 1
    instances = numbered.reshape(found.shape).astype(np.int32)
    order = np.argsort(ids)
    of_present = order[np.searchsorted(ids, present[1:], sorter=order)]
    proposal = _measured(
        instances, classes, uncertainty[of_present], np.where(coverage, tissue, 0).astype(np.uint8)
    )
    return replace(
        proposal,
        agreement=None if agreement is None else agreement[of_present],
        entropy=None if entropy is None else np.where(coverage, entropy, np.float32(0)),
    )


def _measured(
    instances: NDArray[np.int32],
    classes: NDArray[np.uint8],
    uncertainty: NDArray[np.float32],
    tissue_map: NDArray[np.uint8],
) -> Proposal:
    n = len(uncertainty) + 1
    votes = np.bincount((instances * _BASE + classes).ravel(), minlength=n * _BASE)
    areas = np.bincount(instances.ravel(), minlength=n)[1:]
    sums = [
        np.bincount(instances.ravel(), axis.ravel(), n)[1:] for axis in np.indices(instances.shape)
    ]
    return Proposal(
        instances,
        votes.reshape(n, _BASE).argmax(axis=1)[1:].astype(np.uint8),
        uncertainty,
        np.stack(sums, axis=1) / areas[:, None],
        2 * np.sqrt(areas / np.pi),
        tissue_map,
    )


def _unexpected(got: str) -> InvalidMap:
    return InvalidMap(
        f"expected nuclei with one uncertainty each from the judge, got {got}; "
        "propose again, and report it when it stays"
    )
