"""`histodiff slide`, in this process, on a fake model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result
from distributed import LocalCluster, Security
from PIL import Image

from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.requests import DEFAULT_GUIDANCE
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from tests.fakes import FAKE_INFO
from tests.rendering.doubles import make_slide, picture

BACKEND = "tests.rendering.doubles:backend_of"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder; models are fakes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "napari_histodiff.api.load_model", lambda *_: SimpleNamespace(info=FAKE_INFO)
    )
    monkeypatch.setattr("napari_histodiff.rendering.render.DEFAULT_BACKEND", BACKEND)

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(main, ["slide", *map(str, arguments)])

    return invoke


@pytest.fixture
def slide(tmp_path) -> Path:
    return make_slide(tmp_path / "slide.ome.zarr", caption="colon", seed=5)


def test_a_new_slide_has_what_was_asked_for(run) -> None:
    ids = np.array([[0, 1], [2, 4]], np.uint8)
    Image.fromarray(ids).save("sketch.png")
    result = run(
        *("new", "a.ome.zarr", "--height", 1024, "--width", 2048, "--mpp", 0.25, "--seed", 9),
        *("--caption", "colon, gland", "--sketch", "sketch.png", "--guidance", 2, "--steps", 3),
    )
    assert result.exit_code == 0, result.output
    assert "1024 x 2048 px, 0.26 x 0.51 mm at 0.25 um per pixel, 3 levels" in result.output
    with SlideStore.open("a.ome.zarr", read_only=True) as store:
        recipe, sketch = store.recipe, store.sketch
    assert (recipe.height, recipe.width, recipe.mpp, recipe.seed) == (1024, 2048, 0.25, 9)
    assert (recipe.caption, recipe.guidance_scale, recipe.steps) == ("colon, gland", 2.0, 3)
    assert (recipe.model, recipe.revision) == (FAKE_INFO.name, FAKE_INFO.revision)
    assert sketch is not None
    assert sketch.classes[0, -1] == 1
    assert sketch.classes[-1, -1] == 4


def test_a_taken_place_is_refused_before_the_model_is_loaded(run, slide, monkeypatch) -> None:
    loaded: list[object] = []
    monkeypatch.setattr("napari_histodiff.api.load_model", lambda *given: loaded.append(given))
    result = run("new", slide, "--size", 512)
    assert result.exit_code == 2
    assert f"expected a new folder, got {slide}, which exists" in result.output
    assert not loaded


def test_render_tells_what_it_drew_and_goes_on(run, slide) -> None:
    first = run("render", slide, "--levels", "1", "--workers", 0)
    assert (first.exit_code, "4 tiles drawn" in first.output) == (0, True), first.output
    part = run("render", slide, "--region", 0, 0, 256, 256, "--workers", 0)
    assert "1 tiles drawn" in part.output
    rest = run("render", slide, "--workers", 0)
    assert "15 tiles drawn" in rest.output
    assert "5 were there" in rest.output
    again = run("render", slide, "--workers", 0, "--model", "other")
    assert "0 tiles drawn" in again.output
    assert again.exit_code == 0


def test_info_counts_tiles(run, slide) -> None:
    run("render", slide, "--region", 0, 0, 256, 256, "--workers", 0)
    result = run("info", slide)
    assert result.exit_code == 0, result.output
    assert "1024 x 1024 px, 0.51 x 0.51 mm" in result.output
    assert 'caption "colon", seed 5' in result.output
    assert f"model fake, revision 0, guidance {DEFAULT_GUIDANCE:g}, 2 steps, " in result.output
    assert "drawn level by level" in result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["0", "0.5", "16", "15", "1", "0", "0"] in rows


def test_refine_adds_a_finer_level_as_far_as_the_model_draws(run, slide) -> None:
    run("render", slide, "--levels", "0", "--region", 0, 0, 256, 256, "--workers", 0)
    with SlideStore.open(slide, read_only=True) as store:
        before = store.read(Region(0, 0, 0, 256, 256))
    result = run("refine", slide)
    assert result.exit_code == 0, result.output
    assert "2048 x 2048 px, 0.51 x 0.51 mm at 0.25 um per pixel, 3 levels" in result.output
    drawn = run("render", slide, "--region", 0, 0, 512, 512, "--workers", 0)
    assert "10 tiles drawn" in drawn.output, drawn.output
    with SlideStore.open(slide, read_only=True) as store:
        np.testing.assert_array_equal(store.read(Region(1, 0, 0, 256, 256)), before)
        assert (store.state(0)[:2, :2] == TileState.GENERATED).all()
    rows = [line.split() for line in run("info", slide).output.splitlines()]
    assert [row[:3] for row in rows if row[:1] == ["0"]] == [["0", "0.25", "64"]]
    refused = run("refine", slide)
    assert refused.exit_code != 0
    assert "0.125 um per pixel" in refused.output


def test_render_with_certificates(run, slide, tmp_path) -> None:
    security = Security.temporary()
    for name in ("tls_ca_file", "tls_client_cert", "tls_client_key"):
        (tmp_path / name).write_text(getattr(security, name))
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        security=security,
        protocol="tls",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
    ) as cluster:
        certificates = ("--tls-ca", "tls_ca_file", "--tls-cert", "tls_client_cert")
        arguments = ("render", slide, "--scheduler", cluster.scheduler_address, *certificates)
        refused = run(*arguments)
        assert refused.exit_code == 2
        assert "together" in refused.output
        result = run(*arguments, "--tls-key", "tls_client_key")
    assert result.exit_code == 0, result.output
    assert "20 tiles drawn" in result.output


def test_ctrl_c_keeps_what_is_drawn(run, slide, monkeypatch) -> None:
    from napari_histodiff.rendering import render

    put_block, stored = render.put_block, []

    def put_and_interrupt(*arguments):
        stored.append(put_block(*arguments))
        if len(stored) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return stored[-1]

    monkeypatch.setattr(render, "put_block", put_and_interrupt)
    before = signal.getsignal(signal.SIGTERM)
    result = run("render", slide, "--workers", 0)
    assert result.exit_code == 130
    assert "the same command goes on" in result.output
    assert signal.getsignal(signal.SIGTERM) is before
    with SlideStore.open(slide) as store:
        assert (store.state(0) == TileState.GENERATED).any()


def test_ctrl_c_is_no_error_where_a_library_makes_one_of_it(run, slide, monkeypatch) -> None:
    from napari_histodiff.rendering import render

    def load(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt as error:
            raise EngineUnavailable("expected the model to load; repair it") from error

    monkeypatch.setattr(render, "render_slide", load)
    result = run("render", slide, "--workers", 0)
    assert result.exit_code == 130
    assert "Stopped; 0 new tiles are kept" in result.output
    assert "repair" not in result.output


def test_verify_finds_damage(run, tmp_path) -> None:
    slide = make_slide(tmp_path / "small.ome.zarr", 512, 512)
    run("render", slide, "--workers", 0)
    assert run("verify", slide).exit_code == 0
    chunk = slide / "0" / "c" / "0" / "1" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    result = run("verify", slide)
    assert result.exit_code == 1
    assert str(TileAddress(0, 1, 0)) in result.output


def test_evict_drops_tiles_that_come_back(run, tmp_path) -> None:
    slide = make_slide(tmp_path / "small.ome.zarr", 512, 512)
    run("render", slide, "--workers", 0)
    before = picture(slide)
    result = run("evict", slide, "--max-size", "300kB")
    assert result.exit_code == 0, result.output
    assert "freed" in result.output
    with SlideStore.open(slide, read_only=True) as store:
        assert store.nbytes <= 300_000
        assert (store.state(0) == TileState.EMPTY).any()
    run("render", slide, "--workers", 0)
    for one, other in zip(before, picture(slide), strict=True):
        np.testing.assert_array_equal(one, other)


def test_bad_input_is_one_line(run, slide, tmp_path) -> None:
    Path("empty.ome.zarr").mkdir()
    Path("text.png").write_text("no picture")
    newer = make_slide(tmp_path / "newer.ome.zarr")
    meta = json.loads((newer / "zarr.json").read_text())
    meta["attributes"]["histodiff"]["version"] = 99
    (newer / "zarr.json").write_text(json.dumps(meta))
    calls = {
        ("new", "b.ome.zarr"): "--size",
        ("new", "b.ome.zarr", "--size", 512, "--width", 512): "--size",
        ("new", "b.ome.zarr", "--size", 100): "256<=x<=131072",
        ("new", "b.ome.zarr", "--size", 200_000): "256<=x<=131072",
        ("new", "b.ome.zarr", "--size", 512, "--guidance", 0.5): "1.0<=x<=10.0",
        ("new", "b.ome.zarr", "--size", 512, "--mpp", 5): "um per pixel",
        ("new", "b.ome.zarr", "--size", 512, "--sketch", "text.png"): "expected an image",
        ("new", "b.ome.zarr", "--size", 512, "--sketch", "none.png"): "does not exist",
        ("new", slide, "--size", 512): "exists",
        ("info", "nowhere.ome.zarr"): "does not exist",
        ("info", "empty.ome.zarr"): "no zarr.json",
        ("info", newer): "version 99",
        ("render", "nowhere.ome.zarr"): "no zarr.json",
        ("render", slide, "--region", 0, 0, 0, 5): "region",
        ("render", slide, "--region", -9, -9, -1, 5): "at least 0",
        ("render", slide, "--levels", "one"): "expected levels",
        ("render", slide, "--levels", "7"): "levels from 0 to 1",
        ("render", slide, "--workers", -1): "workers",
        ("render", slide, "--model", "other", "--workers", 0): "revision 1",
        ("verify", "empty.ome.zarr"): "no zarr.json",
        ("evict", slide, "--max-size", "lots"): "2GiB",
        ("evict", slide, "--max-size", "-1GB"): "size",
    }
    for arguments, tells in calls.items():
        result = run(*arguments)
        assert result.exit_code == 2, (arguments, result.output)
        assert tells in result.output, (arguments, result.output)
        assert "Traceback" not in result.output, arguments
    assert not Path("b.ome.zarr").exists()


def test_help_is_instant() -> None:
    code = "import sys; from napari_histodiff.cli.slide import slide; "
    code += "print([n for n in ('torch', 'distributed', 'zarr', 'PIL') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
