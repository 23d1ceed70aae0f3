"""Propose nuclei and tissue of one image: a program of its own, so that a window needs no torch.

``python -m napari_histodiff.segmenter.propose IN.npz OUT.npz``. IN has `image` (h, w, 3) uint8 and
`mpp`, micrometres per pixel. OUT gets `instance_map` (h, w) int32, `class_map` (h, w) uint8, `ids`
(n,) int32, `uncertainty` (n,) float32 in 0-1, one per id, and `tissue_map` (h, w) uint8; with
--ensemble also `agreement` (n,) and `entropy` (h, w) float32, see `segmenter.ensemble`; with
``--drawn-by REVISION`` also `nearness`, see `nearest.TrainingIndex`, NaN where unknown. Each step
is a line of JSON on stdout, ``{"done": 1, "total": 8}``; a failure ends stderr with such a line,
``{"error": "expected ..."}``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import HistodiffError, InvalidImage, StorageError

__all__ = ["load_judge", "load_tissue", "main", "use_ensemble"]


def load_judge(folder: Path | None, device: str) -> Any:
    """Return the judge of a model folder; None = the one that comes with the package.

    Raises
    ------
    ModelNotFound, ModelInvalid, DeviceUnavailable
        When it cannot be loaded there.
    """
    from napari_histodiff.segmenter.model import Judge

    return Judge.load(folder, device=device)


def load_tissue(device: str) -> Any:
    """Return what proposes tissue; its network comes with the package.

    Raises
    ------
    ModelNotFound, ModelInvalid, DeviceUnavailable
        When it cannot be loaded there.
    """
    from napari_histodiff.segmenter.tissue import TissueSegmenter

    return TissueSegmenter.load(device=device)


def use_ensemble(judge: Any) -> Any:
    """Return what proposes as a judge does, and says where its members disagree."""
    from napari_histodiff.segmenter.ensemble import Ensemble

    return Ensemble(judge)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status, 0 when OUT was written."""
    options = _options(arguments)
    try:
        image, mpp = _read(options.source)
        judge, tissue = load_judge(options.model, options.device), load_tissue(options.device)
        proposer = use_ensemble(judge) if options.ensemble else judge
        nuclei = proposer.propose(image, mpp=mpp, on_step=_tell)
        found = _nearness(options, judge, image, mpp)
        _write(options.result, nuclei, tissue.propose(image, mpp=mpp, nuclei=nuclei), found)
    except HistodiffError as error:
        _say(sys.stderr, {"error": str(error)})
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m napari_histodiff.segmenter.propose",
        description="Propose nuclei and tissue of an image.",
    )
    parser.add_argument("source", type=Path, metavar="IN.npz", help="arrays image and mpp")
    parser.add_argument("result", type=Path, metavar="OUT.npz", help="where they are written")
    parser.add_argument("--model", type=Path, help="model folder (default: the bundled one)")
    parser.add_argument("--ensemble", action="store_true", help="say where members disagree")
    parser.add_argument("--drawn-by", help="revision of the model whose training crops are near")
    parser.add_argument("--drawn-in", type=Path, help="its folder (default: the bundled one)")
    parser.add_argument("--device", default="auto", help='"auto", "cpu" or "cuda:0"')
    return parser.parse_args(arguments)


def _read(path: Path) -> tuple[NDArray[np.uint8], float]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["image"], float(arrays["mpp"])
    except (OSError, KeyError, ValueError) as error:
        raise InvalidImage(
            f"expected an npz file with image and mpp, got {path.name} ({error}); write it again"
        ) from error


def _nearness(
    options: argparse.Namespace, judge: Any, image: NDArray[np.uint8], mpp: float
) -> dict[str, float]:
    if options.drawn_by is None:
        return {}
    from napari_histodiff.segmenter.nearest import TrainingIndex, index_of

    folder = index_of(options.drawn_in, options.drawn_by)
    index = None if folder is None else TrainingIndex.load(folder)
    found = None
    if index is not None and index.info.judge == judge.info.revision:
        found = index.nearness(judge, image, mpp)
    return {"nearness": float("nan") if found is None else found}


def _write(path: Path, proposal: Any, tissue_map: NDArray[np.uint8], more: dict[str, Any]) -> None:
    ids = np.unique(proposal.instance_map)
    ids = ids[ids > 0].astype(np.int32)
    doubts: Any = {
        name: np.asarray(getattr(proposal, name), np.float32)
        for name in ("agreement", "entropy")
        if hasattr(proposal, name)
    }
    try:
        np.savez(
            path,
            instance_map=np.asarray(proposal.instance_map, np.int32),
            class_map=np.asarray(proposal.class_map, np.uint8),
            ids=ids,
            uncertainty=np.asarray(proposal.uncertainty, np.float32),
            tissue_map=tissue_map,
            **doubts,
            **more,
        )
    except OSError as error:
        raise StorageError(
            f"expected to write {path}, got {error}; free some space on that disk"
        ) from error


def _tell(done: int, total: int) -> None:
    _say(sys.stdout, {"done": done, "total": total})


def _say(stream: TextIO, what: dict[str, Any]) -> None:
    stream.write(json.dumps(what) + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
