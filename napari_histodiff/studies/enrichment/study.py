"""One enrichment study: draws tiles, trains a segmenter on every mix, tests it on real tissue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from napari_histodiff.core.backend import Backend
from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.errors import InvalidRequest, TrainingError, make_folder
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.datasets.packing import Pack, load_pack, slide_of
from napari_histodiff.evaluation.drawing import TileDrawer
from napari_histodiff.evaluation.fidelity import tile_scores
from napari_histodiff.evaluation.metrics.objects import object_classes
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.tables import Table
from napari_histodiff.evaluation.tiles import Tile, study_tiles
from napari_histodiff.studies.enrichment.mixes import DrawnTile, Mix, choose_tiles
from napari_histodiff.studies.enrichment.options import EnrichmentOptions
from napari_histodiff.studies.enrichment.report import write_enrichment_report
from napari_histodiff.studies.enrichment.runs import MixRun
from napari_histodiff.studies.enrichment.segmenters.base import Lesson, Segmenter
from napari_histodiff.studies.enrichment.segmenters.ours import OwnSegmenter

__all__ = ["run_enrichment"]

_DRAWN_FOLDER: Final = "drawn"
_RUNS_FOLDER: Final = "runs"

_Drawn = Mapping[DrawnTile, NDArray[np.uint8]]


def run_enrichment(
    backend: Backend,
    train: Path,
    test: Path,
    output: Path,
    options: EnrichmentOptions | None = None,
    segmenter: Segmenter | None = None,
) -> list[Table]:
    """Train the same segmenter on every mix of real and drawn tiles, and write a report.

    Drawn tiles and finished trainings are kept in `output`, so that a study that was stopped goes
    on where it was.

    Parameters
    ----------
    backend : Backend
        The model; figures flatter it where it was trained on what is tested on.
    train, test : Path
        Packed files; no patient may be in both.
    output : Path
        Folder of the report.
    options : EnrichmentOptions, optional
    segmenter : Segmenter, optional
        What is trained; ours by default, see `segmenters.load_segmenter` for others.

    Raises
    ------
    TrainingError
        When a pack cannot be read or holds too few tiles, or the segmenter cannot be trained.
    InvalidRequest
        When a patient is in both packs, a mix is empty of so few tiles, or the segmenter cannot be
        trained with the augmentation that a mix asks for.
    StorageError
        When the folder cannot be written.
    """
    options, segmenter = options or EnrichmentOptions(), segmenter or OwnSegmenter()
    about = segmenter.about
    classical = [mix.name for mix in options.parsed if mix.classical]
    if classical and not about.augments:
        raise InvalidRequest(
            f"expected mixes without classical augmentation for {about.name}, got "
            f"{', '.join(classical)}; leave c out, or use our segmenter"
        )
    given = _given(load_pack(train), load_pack(test), options)
    plan = {
        (mix, seed): choose_tiles(mix, given.patients, options.seed + seed)
        for seed in range(options.seeds)
        for mix in options.parsed
    }
    make_folder(output)
    wanted = dict.fromkeys(tile for _, some in plan.values() for tile in some)
    drawn = _draw(backend, given.train, list(wanted), output / _DRAWN_FOLDER, options)
    runs = []
    for (mix, seed), (real, some) in tqdm(plan.items(), "trainings", unit="run", disable=None):
        path = output / _RUNS_FOLDER / f"{mix.name}-{seed}.json"
        run = _Run(mix, seed, real, some)
        kept = MixRun.read(path, digest := run.digest(given, drawn, options, segmenter))
        if kept is None:
            kept = run.train(given, drawn, options, segmenter)
            kept.write(path, digest)
        runs.append(kept)
    facts = {
        "model": {"name": backend.info.name, "revision": backend.info.revision},
        "segmenter": {"name": about.name, "weights": about.weights},
        "options": asdict(options),
        "training tiles": len(given.train),
        "training patients": len(set(given.patients)),
        "test tiles": len(given.test),
        "training nuclei": _class_counts(given.train),
        "test nuclei": _class_counts(given.test),
    }
    return write_enrichment_report(output, runs, options, facts, about)


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """Real tiles to train and to test on, and the patient of each of the former."""

    train: list[Tile]
    patients: list[str]
    test: list[Tile]


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One training: its mix, seed, real tiles and tiles to draw."""

    mix: Mix
    seed: int
    real: list[int]
    drawn: list[DrawnTile]

    def digest(
        self, given: _Given, drawn: _Drawn, options: EnrichmentOptions, segmenter: Segmenter
    ) -> str:
        """All that decides the outcome, in short."""
        parts = [repr((self.mix, self.seed, options.widths, options.updates, options.batch))]
        parts.append(repr((options.crop, options.seed)))
        if segmenter.about.weights:  # of ours, runs of before there were others stay known
            parts.append(repr((segmenter.about.name, segmenter.about.weights)))
        arrays = [given.train[i].image for i in self.real]
        arrays += [given.train[tile.tile].class_map for tile in self.drawn]
        arrays += [drawn[tile] for tile in self.drawn]
        arrays += [tile.image for tile in given.test]
        truth = [tile.instance_map for tile in given.test]
        return digest_of(*parts, *arrays, *truth).hex()

    def train(
        self, given: _Given, drawn: _Drawn, options: EnrichmentOptions, segmenter: Segmenter
    ) -> MixRun:
        """Train, and look what is found in the test tiles."""
        tiles = [given.train[i] for i in self.real]
        images = [tile.image for tile in tiles]
        tiles += [given.train[tile.tile] for tile in self.drawn]
        images += [drawn[tile] for tile in self.drawn]
        seed = options.seed + self.seed
        trained = segmenter.train(Lesson(tiles, images, options, seed, self.mix.classical))
        test = given.test
        if not segmenter.about.tells_classes:
            test = [replace(tile, has_classes=False) for tile in test]
        scores = tile_scores(test, [trained.find(tile.image) for tile in test])
        counts = len(self.real), len(self.drawn)
        losses = tuple(float(loss) for loss in trained.losses)
        return MixRun(self.mix.name, self.seed, *counts, losses, tuple(scores))


def _given(train: Pack, test: Pack, options: EnrichmentOptions) -> _Given:
    patients = [_patients(pack) for pack in (train, test)]
    both = sorted(set(patients[0].values()) & set(patients[1].values()))
    if both:
        raise InvalidRequest(
            f"expected no patient in training and test, got {both[0]}"
            f"{f' and {len(both) - 1} more' if both[1:] else ''} in both; split by patient"
        )
    packs = [_of_sources(pack, options.sources) for pack in (train, test)]
    tiles = study_tiles(packs[0], options.tiles, options.size, "all")
    return _Given(
        tiles,
        [patients[0][tile.source, tile.name.rpartition(" y")[0]] for tile in tiles],
        study_tiles(packs[1], options.test_tiles, options.size, "all"),
    )


def _patients(pack: Pack) -> dict[tuple[str, str], str]:
    """Return the patient, or else the image, of each item of a pack by source and name."""
    return {
        (item.source, item.name): f"{item.source}/{item.slide or slide_of(item.name)}"
        for item in pack.items
    }


def _of_sources(pack: Pack, sources: Sequence[str]) -> Pack:
    if not sources:
        return pack
    missing = set(sources) - {item.source for item in pack.items}
    if missing:
        raise TrainingError(
            f"expected images of {', '.join(sorted(missing))}, got none; pack them, or choose "
            f"from {', '.join(sorted({item.source for item in pack.items}))}"
        )
    kept = [i for i, item in enumerate(pack.items) if item.source in sources]
    return Pack(
        [pack.items[i] for i in kept],
        [pack.pixels[i] for i in kept],
        [pack.layers[i] for i in kept],
        [pack.instances[i] for i in kept],
    )


def _draw(
    backend: Backend,
    tiles: Sequence[Tile],
    wanted: Sequence[DrawnTile],
    folder: Path,
    options: EnrichmentOptions,
) -> dict[DrawnTile, NDArray[np.uint8]]:
    """Draw from nuclei, caption and suggested tissue; draw n of tile i has a seed of its own."""
    settings = StudyOptions(
        guidance=options.guidance,
        default_steps=options.steps,
        tissue="suggested",
        seed=options.seed,
        stain="reference" if options.stain == "reference" else "sampled",
    )
    drawer = TileDrawer(backend, folder, settings)
    bar = tqdm(wanted, "drawing", unit="tile", disable=None)
    return {
        tile: drawer.generate(tiles[tile.tile], offset=tile.draw * len(tiles) + tile.tile)
        for tile in bar
    }


def _class_counts(tiles: Sequence[Tile]) -> dict[str, int]:
    counts = np.zeros(len(CLASS_NAMES) + 1, np.int64)
    for tile in tiles:
        if tile.has_classes:
            classes = object_classes(tile.instance_map, tile.class_map)
            counts += np.bincount(classes, minlength=len(counts))
    return dict(zip(CLASS_NAMES, counts[1:].tolist(), strict=True))
