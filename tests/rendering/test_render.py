"""Rendering with worker processes of this machine and with a scheduler, on a fake model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster

from napari_histodiff.core.errors import (
    EngineUnavailable,
    InvalidRequest,
    ModelInvalid,
    ModelNotFound,
    StorageError,
    WorkerDied,
)
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.rendering import RenderProgress, RenderReport, render_slide
from napari_histodiff.rendering.pool import WorkerPool
from napari_histodiff.rendering.worker import BlockJob, content_of, pack_factory
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from tests.fakes import FakeFactory
from tests.rendering.doubles import Counting, make_slide, picture, probe

FAKE = "tests.fakes:default_fake"
OTHER = "tests.rendering.doubles:other_model"

#: Tiles of a slide of 1024 px: 4 of level 1, 16 of level 0.
ALL = 20


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """What a slide drawn in this process shows."""
    path = make_slide(tmp_path_factory.mktemp("slides") / "plain.ome.zarr")
    report = render_slide(path, workers=0, backend=FAKE)
    assert (report.tiles, report.kept, report.deaths) == (ALL, 0, 0)
    return picture(path)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return make_slide(tmp_path / "slide.ome.zarr")


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A scheduler of one's own with a worker, in threads of this process."""
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
    ) as found:
        yield found


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def worker_processes() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_a_worker_that_is_killed_changes_no_byte(
    slide: Path, undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("napari_histodiff.rendering.cluster.CPU_COUNT", 6)
    told: list[RenderProgress] = []

    def on_progress(progress: RenderProgress) -> None:
        told.append(progress)
        if len(told) == 3:
            worker_processes()[0].kill()

    report = render_slide(slide, workers=2, backend=probe, on_progress=on_progress)
    assert_same(picture(slide), undisturbed)
    assert (report.tiles, report.kept, report.deaths) == (ALL, 0, 1)
    assert report.devices == ("3 threads",)
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert [progress.level for progress in told] == sorted(
        (progress.level for progress in told), reverse=True
    )
    assert (told[0].done, told[-1].done, told[-1].total) == (0, ALL, ALL)
    assert worker_processes() == []


def test_an_interrupted_render_goes_on(slide: Path, cluster: LocalCluster, undisturbed) -> None:
    def interrupt(progress: RenderProgress) -> None:
        if progress.done >= 8:
            raise KeyboardInterrupt

    address = cluster.scheduler_address
    with pytest.raises(KeyboardInterrupt):
        render_slide(slide, scheduler=address, backend=FAKE, on_progress=interrupt)
    with SlideStore.open(slide, read_only=True) as store:
        drawn = sum(int((store.state(level) == TileState.GENERATED).sum()) for level in (0, 1))
    assert 8 <= drawn < ALL
    report = render_slide(slide, scheduler=address, backend=FAKE)
    assert (report.tiles, report.kept) == (ALL - drawn, drawn)
    assert_same(picture(slide), undisturbed)
    report = render_slide(slide, workers=0, backend=OTHER)  # nothing is left, no model is needed
    assert replace(report, seconds=0.0) == RenderReport(0, ALL, 0, 0.0, (), 0)


@pytest.mark.parametrize("here", [True, False])
def test_another_model_is_refused_before_anything_is_drawn(
    slide: Path, cluster: LocalCluster, here: bool
) -> None:
    address = None if here else cluster.scheduler_address
    with pytest.raises(ModelInvalid, match=r"revision 0, .* got another, revision 1"):
        render_slide(slide, scheduler=address, workers=0, backend=OTHER)
    with SlideStore.open(slide, read_only=True) as store:
        assert not any(store.state(level).any() for level in (0, 1))


def test_a_model_that_is_not_there_is_told_of(slide: Path, cluster: LocalCluster) -> None:
    with pytest.raises(ModelNotFound, match="histodiff fetch") as caught:
        render_slide(
            slide,
            scheduler=cluster.scheduler_address,
            backend=FakeFactory(load_error="family"),
        )
    assert "Traceback" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "deadly",
    [FakeFactory(fault="kill", always=True, fault_at=1), FakeFactory(load_error="kill")],
    ids=["of every block", "of the model"],
)
def test_workers_that_die_end_the_render(slide: Path, deadly: FakeFactory) -> None:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(WorkerDied, match="memory"),
    ):
        render_slide(slide, workers=1, backend=deadly)
    SlideStore.open(slide).close()


def test_a_lost_scheduler_leaves_a_slide_that_opens(
    slide: Path, cluster: LocalCluster, undisturbed
) -> None:
    def lose(progress: RenderProgress) -> None:
        if progress.done == 8:
            cluster.close()

    with pytest.raises(EngineUnavailable, match="what is drawn is kept"):
        render_slide(
            slide,
            scheduler=cluster.scheduler_address,
            backend=FakeFactory(delay=0.05),
            on_progress=lose,
        )
    assert render_slide(slide, workers=0, backend=FAKE).kept >= 8
    assert_same(picture(slide), undisturbed)


def test_no_scheduler_and_no_worker(slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_histodiff.rendering.cluster._CONNECT_SECONDS", 0.5)
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:9"):
        render_slide(slide, scheduler="tcp://127.0.0.1:9", backend=FAKE)
    with pytest.raises(EngineUnavailable, match="nonsense"):
        render_slide(slide, scheduler="nonsense://", backend=FAKE)


def test_a_scheduler_without_workers(slide: Path, cluster: LocalCluster) -> None:
    cluster.scale(0)
    with pytest.raises(EngineUnavailable, match="start workers"):
        render_slide(slide, scheduler=cluster.scheduler_address, backend=FAKE, wait=0.3)


def test_a_part_and_its_coarser_levels(slide: Path) -> None:
    told: list[int] = []
    report = render_slide(
        slide,
        region=Region(0, 700, 700, 10, 10),
        workers=0,
        backend=FAKE,
        on_progress=lambda progress: told.append(progress.level),
    )
    with SlideStore.open(slide, read_only=True) as store:
        fine = store.state(0)
        drawn = int((store.state(1) == TileState.GENERATED).sum())
    assert fine[2, 2] == TileState.GENERATED
    assert np.count_nonzero(fine) == 1
    assert report.tiles == 1 + drawn
    assert told == sorted(told, reverse=True)


def test_coarse_levels_alone(slide: Path) -> None:
    assert render_slide(slide, levels=[1], workers=0, backend=FAKE).tiles == 4
    assert render_slide(slide, levels=[0], workers=0, backend=FAKE).tiles == 16


def test_edits_are_kept(slide: Path) -> None:
    place = Region(0, 300, 100, 90, 400)
    mask = np.zeros(place.shape, np.bool_)
    mask[10:50, 30:380] = True
    edit = EditRequest(kind=EditKind.GENERATE, region=place)
    with SlideStore.open(slide) as store:
        store.write(edit, np.full((*place.shape, 3), 77, np.uint8), mask)
    render_slide(slide, workers=0, backend=FAKE)
    with SlideStore.open(slide, read_only=True) as store:
        found = store.read(place)
        assert not (store.state(0) == TileState.EMPTY).any()
    assert (found[mask] == 77).all()
    assert not (found[~mask] == 77).all(axis=-1).any()
    report = render_slide(slide, workers=0, backend=FAKE)
    assert (report.tiles, report.kept) == (0, ALL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"region": Region(0, 5000, 0, 10, 10)},
        {"region": Region(0, 0, 0, 0, 10)},
        {"region": Region(40, 0, 0, 10, 10)},
        {"levels": [2]},
        {"levels": [-1]},
        {"workers": -1},
        {"backend": lambda: None},
    ],
)
def test_what_cannot_be_rendered_is_refused(slide: Path, wrong: dict) -> None:
    with pytest.raises(InvalidRequest, match=r"expected .* got"):
        render_slide(slide, **{"workers": 0, "backend": FAKE, **wrong})


def test_a_slide_that_is_open_for_writing_elsewhere(slide: Path) -> None:
    with SlideStore.open(slide), pytest.raises(StorageError):
        render_slide(slide, workers=0, backend=FAKE)


def test_asking_twice_computes_once(slide: Path, cluster: LocalCluster) -> None:
    with SlideStore.open(slide) as store:
        order = BlockJob(str(slide), pack_factory(Counting), content_of(store), "epoch", 1.0)
    Counting.renders = 0
    with Client(cluster, set_as_default=False) as client:
        askers = [
            WorkerPool(client, wait=1.0).draw(order, [TileAddress(1, 0, 0)]) for _ in range(2)
        ]
        first, second = (next(asker) for asker in askers)
        for asker in askers:
            asker.close()
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert Counting.renders == 1
