"""Models of the hub: looked at, accepted, downloaded whole, and refused in clear words."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

import napari_histodiff as hd
from napari_histodiff.core.errors import (
    Cancelled,
    HubUnavailable,
    LicenceNotAccepted,
    ModelInvalid,
    ModelNotFound,
    StorageError,
)
from napari_histodiff.core.foreign.folder import check_foreign
from napari_histodiff.core.foreign.record import read_record
from napari_histodiff.hub.download import Download, partial_folder
from napari_histodiff.hub.lookup import NO_LICENCE, HubModel, look_up
from napari_histodiff.hub.places import HubName, hub_name
from napari_histodiff.hub.resolving import model_path
from tests.hub.server import COMMIT, NAME, FakeHub

MODEL = HubName(NAME)
NEEDED = [
    "README.md",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
]


def files_of(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_model_says_what_it_is_before_anything_is_fetched(hub) -> None:
    model = look_up(MODEL)
    assert (model.class_name, model.licence, model.commit) == ("DDIMPipeline", "openrail", COMMIT)
    assert [file.name for file in model.files] == NEEDED
    assert model.nbytes == sum((hub.models[NAME] / name).stat().st_size for name in NEEDED)
    words = model.described()
    for part in ("lab/tiny: DDIMPipeline", "5 files", "openrail", str(model.folder)):
        assert part in words
    assert [path for path in hub.asked if "safetensors" in path] == []
    assert not model.folder.parent.exists()


def test_what_is_accepted_is_downloaded_once_and_draws(hub) -> None:
    shown: list[HubModel] = []

    def accept(model: HubModel) -> bool:
        shown.append(model)
        return True

    model = hd.load_model(NAME, device="cpu", accept_licence=accept)
    assert [m.licence for m in shown] == ["openrail"]
    assert (model.info.name, model.info.licence) == (NAME, "openrail")
    assert model(shape=(40, 48), steps=2).shape == (40, 48, 3)
    folder = shown[0].folder
    assert files_of(folder) == sorted([*NEEDED, "histodiff-hub.json"])
    record = read_record(folder)
    assert record is not None
    assert (record.commit, record.licence) == (COMMIT, "openrail")
    hub.models.clear()  # from now on without the network, and without a question
    assert model_path(NAME) == folder
    assert hd.load_model(NAME, device="cpu").info.revision == model.info.revision


@pytest.mark.parametrize("accept", [None, "mit", lambda model: False])
def test_nothing_is_downloaded_without_the_licence(hub, accept) -> None:
    with pytest.raises(LicenceNotAccepted, match=r"licence: openrail \(https") as error:
        hd.load_model(NAME, accept_licence=accept)
    assert "size: " in str(error.value)
    assert [path for path in hub.asked if "safetensors" in path] == []
    assert not look_up(MODEL).folder.parent.exists()


def test_a_licence_is_accepted_by_its_name(hub) -> None:
    assert check_foreign(model_path(NAME, "OpenRAIL")).name == NAME


def test_a_model_without_a_licence_says_what_that_means(hub) -> None:
    hub.card = {}
    assert look_up(MODEL).licence == NO_LICENCE
    with pytest.raises(LicenceNotAccepted, match="nobody but its authors may use it"):
        model_path(NAME)
    hub.card = {"license": "other", "license_name": "tiny-1", "license_link": "https://a.b/c"}
    assert look_up(MODEL).licence_words() == "tiny-1 (https://a.b/c)"


def test_an_unknown_model_and_an_unknown_revision_are_told(hub) -> None:
    with pytest.raises(ModelNotFound, match="a model lab/nothing on the hub, got none"):
        look_up(HubName("lab/nothing"))
    with pytest.raises(ModelNotFound, match="the revision of lab/tiny@v9"):
        look_up(HubName(NAME, "v9"))


def test_a_closed_door_says_whom_to_ask(hub) -> None:
    hub.closed = True
    with pytest.raises(HubUnavailable, match=r"want to be asked; ask them on .*/lab/tiny"):
        look_up(MODEL)


def test_a_door_that_closes_before_the_weights_is_told_too(hub) -> None:
    hub.gated = True
    model = look_up(MODEL)
    assert model.gated
    hub.closed = True
    with pytest.raises(HubUnavailable, match="want to be asked"):
        Download(model).wait()


def test_without_a_network_the_way_on_is_told(hub, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubUnavailable, match="connect to the network"):
        look_up(MODEL)


def edited(hub: FakeHub, tmp_path: Path) -> Path:
    hub.models[NAME] = shutil.copytree(hub.models[NAME], tmp_path / "edited")
    return hub.models[NAME]


def test_pickles_are_refused_before_they_are_fetched(hub, tmp_path) -> None:
    (edited(hub, tmp_path) / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelInvalid, match=r"got diffusion_pytorch_model\.bin; pickles can run"):
        look_up(MODEL)


def test_code_that_comes_with_a_model_is_refused(hub, tmp_path) -> None:
    index = edited(hub, tmp_path) / "model_index.json"
    told = json.loads(index.read_text())
    index.write_text(json.dumps(told | {"_class_name": ["train", "TinyPipeline"]}))
    with pytest.raises(ModelInvalid, match=r"got train: this model needs code"):
        look_up(MODEL)
    index.write_text(json.dumps(told | {"unet": ["models.sit", "SiT"]}))
    with pytest.raises(ModelInvalid, match=r"got models\.sit"):
        look_up(MODEL)


def test_what_is_no_pipeline_of_diffusers_is_refused(hub, tmp_path) -> None:
    index = edited(hub, tmp_path) / "model_index.json"
    index.write_text("[]")
    with pytest.raises(ModelInvalid, match="a JSON object"):
        look_up(MODEL)
    index.unlink()
    with pytest.raises(ModelInvalid, match="a pipeline of diffusers"):
        look_up(MODEL)


#: The client of the hub writes pieces of 10 MiB; what is less is lost when it is ended.
LARGE = 25 * 2**20


def enlarged(hub: FakeHub, tmp_path: Path) -> None:
    path = edited(hub, tmp_path) / "unet" / "diffusion_pytorch_model.safetensors"
    with path.open("ab") as file:
        file.truncate(LARGE)


def test_a_cancelled_download_goes_on_where_it_stopped(hub, tmp_path) -> None:
    enlarged(hub, tmp_path)
    hub.hold = threading.Event()
    model = look_up(MODEL)
    download = Download(model)
    assert hub.held.wait(60)
    while download.done < LARGE // 4:
        assert download.is_running
        threading.Event().wait(0.05)
    weights = next(file for file in model.files if file.sha256)
    download.cancel()
    with pytest.raises(Cancelled):
        download.wait()
    assert not model.folder.exists()
    part = partial_folder(model)
    assert part.is_dir()
    with pytest.raises(ModelNotFound, match="half a download"):
        check_foreign(part)
    hub.hold.set()
    hub.hold = None
    seen: list[tuple[int, int]] = []
    second = Download(model)
    assert second.wait(lambda *told: seen.append(told)) == model.folder
    assert hub.ranges, "what had arrived was fetched again"
    assert not part.exists()
    assert all(0 <= done <= total == model.nbytes for done, total in seen)
    assert (model.folder / weights.name).stat().st_size == weights.size
    assert not second.is_running


def test_a_broken_connection_is_taken_up_again(hub, tmp_path) -> None:
    enlarged(hub, tmp_path)
    hub.cut = LARGE // 2
    model = look_up(MODEL)
    assert Download(model).wait() == model.folder
    assert hub.ranges


def test_other_bytes_than_listed_are_no_model(hub) -> None:
    hub.lies = True
    model = look_up(MODEL)
    with pytest.raises(HubUnavailable, match="as the hub lists it"):
        Download(model).wait()
    assert not model.folder.exists()
    hub.lies = False
    assert Download(model).wait() == model.folder


def test_files_of_another_commit_are_not_gone_on_with(hub) -> None:
    model = look_up(MODEL)
    old = partial_folder(replace(model, commit="f" * 40))
    (old / "unet").mkdir(parents=True)
    (old / "unet" / "config.json").write_text("{}")
    folder = Download(model).wait()
    assert (folder / "unet" / "config.json").read_bytes() != b"{}"
    assert not old.exists()


def test_two_downloads_of_one_model_do_not_mix(hub) -> None:
    model = look_up(MODEL)
    model.folder.parent.mkdir(parents=True)
    with (
        FileLock(model.folder.parent / f".{model.folder.name}.lock"),
        pytest.raises(HubUnavailable, match="another download of it under way"),
    ):
        Download(model).wait()
    assert Download(model).wait() == model.folder
    assert Download(model).wait() == model.folder  # asked for before the other ended
    assert not partial_folder(model).exists()


def test_no_room_is_told_before_it_starts(hub, monkeypatch) -> None:
    model = look_up(MODEL)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 10))
    with pytest.raises(StorageError, match="of free space"):
        Download(model)


def test_a_folder_is_no_model_of_the_hub(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for text in ("runs/pipeline", "runs", "./a/b", "/a/b", "a/b/c", "a\\b", "../b", "a/..b/", ""):
        assert hub_name(text) is None, text
    assert hub_name("owner/name") == HubName("owner/name")
    assert hub_name(Path("owner/name.v2")) == HubName("owner/name.v2")
    assert str(hub_name("owner/name@v1")) == "owner/name@v1"
    assert model_path(tmp_path) == tmp_path


def test_names_of_files_that_lead_elsewhere_are_left_out(hub, monkeypatch) -> None:
    real = hub.described

    def described(name: str):
        told = real(name)
        for bad in ("../unet/config.json", "/etc/config.json", "unet/../../x.json"):
            told["siblings"].append({"rfilename": bad, "size": 1})
        return told

    monkeypatch.setattr(hub, "described", described)
    assert [file.name for file in look_up(MODEL).files] == NEEDED
