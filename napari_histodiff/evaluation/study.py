"""One study of a model on held-out tiles: figures, sheets and a report in one folder."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.backend import Backend
from napari_histodiff.core.errors import InvalidRequest, ModelNotFound, make_folder
from napari_histodiff.datasets.packing import Pack, load_pack
from napari_histodiff.evaluation.checks import checks
from napari_histodiff.evaluation.consistency import border_section, seam_section, zoom_section
from napari_histodiff.evaluation.drawing import TileDrawer
from napari_histodiff.evaluation.fidelity import (
    caption_section,
    fidelity_section,
    guidance_section,
    steps_section,
)
from napari_histodiff.evaluation.memory import (
    MEMORY_SHEET,
    memory_section,
    memory_sheet,
    training_crops,
)
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.panels import ImageSet, JudgeLike, blurred, mirrored, shuffled
from napari_histodiff.evaluation.realism import critic_section, distance_section
from napari_histodiff.evaluation.report import Study, write_report
from napari_histodiff.evaluation.sheets import editing_sheet, frame_sheet, rare_sheet, sweep_sheet
from napari_histodiff.evaluation.tables import ReportSection
from napari_histodiff.evaluation.tiles import Tile, frames_of, study_tiles
from napari_histodiff.evaluation.tissue import TissueLike, tissue_section

__all__ = ["run_study"]

_LOG = logging.getLogger(__name__)

_SHEET_ROWS: Final = 6
_DRAWN_FOLDER: Final = "drawn"


def run_study(
    backend: Backend,
    judge: JudgeLike,
    data: Path,
    output: Path,
    *,
    train: Path | None = None,
    options: StudyOptions | None = None,
    tissue: TissueLike | None = None,
) -> Study:
    """Draw held-out tiles, measure them and write sheets and a report into `output`.

    Drawn images are kept in `output/drawn`, so that a second study of the same model and options
    only measures again. Time is about linear in the number of tiles.

    Parameters
    ----------
    backend : Backend
        The model.
    judge : JudgeLike
        A segmenter that shares nothing with the model.
    data : Path
        A pack of the test split.
    output : Path
        Folder of the report.
    train : Path, optional
        A pack of the train split, to look for repeated training tissue.
    options : StudyOptions, optional
        Size and settings.
    tissue : TissueLike, optional
        A segmenter of tissue, to look whether the tiles' tissue maps are followed.

    Raises
    ------
    TrainingError
        When a pack cannot be read or holds too few tiles.
    ModelNotFound
        When Inception weights are asked for and missing.
    InvalidRequest
        When packages of the extra "evaluate" are missing, or the model cannot draw at the tiles'
        micrometres per pixel.
    """
    options = options or StudyOptions()
    _require_packages()
    _require_weights(options.inception_weights)
    packed = load_pack(data)
    tiles = study_tiles(packed, options.tiles, options.size, options.part)
    bank = None
    if train is not None:
        bank = training_crops(load_pack(train), options.size // 4, seed=options.seed)
    make_folder(output)
    drawer = TileDrawer(backend, output / _DRAWN_FOLDER, options)
    sections = _sections(drawer, judge, tissue, tiles, packed, bank, options, output)
    info = drawer.info
    study = Study(
        title=f"{info.name} ({info.revision}) on {len(tiles)} {options.part} tiles",
        intro=_intro(tiles, options),
        facts=_facts(drawer, judge, tiles, options),
        sections=tuple(sections),
        checks=tuple(checks(sections, options)),
        folder=output,
    )
    write_report(study)
    _LOG.info("wrote %s", output / "report.html")
    return study


def _sections(
    drawer: TileDrawer,
    judge: JudgeLike,
    tissue: TissueLike | None,
    tiles: list[Tile],
    packed: Pack,
    bank: NDArray[np.uint8] | None,
    options: StudyOptions,
    output: Path,
) -> list[ReportSection]:
    real = ImageSet("real tissue", tiles, [t.image for t in tiles], judge)
    drawn = ImageSet("drawn", tiles, drawer.tiles(tiles), judge)
    blur = ImageSet("blurred real", tiles, [blurred(t.image) for t in tiles], judge)
    mirror = ImageSet("mirrored real", tiles, [mirrored(t.image) for t in tiles], judge)
    mixed = ImageSet("shuffled real", tiles, [shuffled(t.image) for t in tiles], judge)
    sections = [
        fidelity_section(real, drawn, blur, options),
        caption_section(real, drawn),
        distance_section(real, drawn, blur, mixed, options),
        critic_section(real, drawn, (mirror, blur, mixed), options),
        *_sweeps(drawer, real, drawn, options, output),
        *_consistency(drawer, real, packed, options, output),
    ]
    mapped = any(tile.tissue_map is not None for tile in tiles)
    if tissue is not None and mapped and options.tissue != "suggested":
        sections.insert(1, tissue_section(real, drawn, tissue))
    if bank is not None:
        sections.append(memory_section(real, drawn, bank, options))
        sheet = memory_sheet(real, drawn, bank, options)
        if sheet is not None:
            _save(output / MEMORY_SHEET, sheet)
    rare = rare_sheet(real, drawn)
    if rare is not None:
        _save(output / "rare.png", rare)
        text = "Crops around painted neutrophils, eosinophils and plasma cells, real above drawn."
        sections.append(ReportSection("rare", "Rare classes", text, [], ("rare.png",)))
    return sections


def _sweeps(
    drawer: TileDrawer, real: ImageSet, drawn: ImageSet, options: StudyOptions, output: Path
) -> list[ReportSection]:
    count = min(options.sweep_tiles, len(real.tiles))
    few = real.head(count)

    def image_set(name: str, guidance: float, steps: int) -> ImageSet:
        if (guidance, steps) == (options.guidance, options.default_steps):
            return drawn.head(count, name)
        images = drawer.tiles(few.tiles, guidance, steps)
        return ImageSet(name, few.tiles, images, real.judge)

    by_guidance = {
        g: image_set(f"guidance {g:g}", g, options.default_steps) for g in options.guidances
    }
    by_steps = {n: image_set(f"{n} steps", options.guidance, n) for n in sorted(options.steps)}
    size = options.size
    for name, panels in (("guidance", by_guidance.values()), ("steps", by_steps.values())):
        _save(output / f"{name}.png", sweep_sheet(few, list(panels), _SHEET_ROWS, size))
    return [guidance_section(few, by_guidance, options), steps_section(few, by_steps, options)]


def _consistency(
    drawer: TileDrawer, real: ImageSet, packed: Pack, options: StudyOptions, output: Path
) -> list[ReportSection]:
    few = real.tiles[: options.sweep_tiles]
    frames = frames_of(packed, options.frames, options.frame_size, options.part)
    sections = [
        seam_section(drawer, frames, options),
        zoom_section(drawer, few),
        border_section(drawer, few),
    ]
    if frames:
        _save(output / "frames.png", frame_sheet(drawer, frames, options.frame_size))
    _save(output / "editing.png", editing_sheet(drawer, few[:_SHEET_ROWS], options.size))
    return sections


def _intro(tiles: list[Tile], options: StudyOptions) -> str:
    counts = Counter(f"{tile.source} of {len(tile.image)} px" for tile in tiles)
    stain = "the measured stain" if options.stain == "reference" else "a sampled stain"
    return (
        f"Tiles of the test set ({', '.join(f'{n} {name}' for name, n in counts.items())}), each "
        f"drawn from its own nuclei, caption and {stain} at guidance {options.guidance:g} in "
        f"{options.default_steps} steps. Of each source, the first two images by name (or the left "
        "half of the only one) are for choosing settings, the others for final figures; this study "
        f'used part "{options.part}".'
    )


def _facts(
    drawer: TileDrawer, judge: JudgeLike, tiles: list[Tile], options: StudyOptions
) -> dict[str, Any]:
    info = drawer.info
    settings = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(options).items()
    }
    return {
        "model": {"name": info.name, "revision": info.revision, "licence": info.licence},
        "judge": {"name": judge.info.name, "revision": judge.info.revision},
        "options": settings,
        "tiles_by_source": dict(Counter(tile.source for tile in tiles)),
        "tiles": [tile.name for tile in tiles],
    }


def _require_packages() -> None:
    missing = [name for name in ("sklearn", "torchmetrics") if find_spec(name) is None]
    if missing:
        raise InvalidRequest(
            f"expected scikit-learn and torchmetrics, got no {' and no '.join(missing)}; "
            'run pip install "napari-histodiff[evaluate]"'
        )


def _require_weights(weights: Path | None) -> None:
    if weights is not None and not weights.is_file():
        raise ModelNotFound(
            f"expected the Inception weights at {weights}, got no file; download them, or leave "
            "them out"
        )


def _save(path: Path, sheet: NDArray[np.uint8]) -> None:
    Image.fromarray(sheet).save(path)
