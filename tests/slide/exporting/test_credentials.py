"""Exports are signed by whoever has a certificate, and a change is seen afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from cryptography import x509
from PIL import Image

from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.export import save_edit
from napari_histodiff.slide.exporting.credentials import credentials_of, new_identity, sign
from napari_histodiff.slide.exporting.inspection import inspect_file
from napari_histodiff.slide.exporting.tiff import export_tiff
from tests.fakes import FAKE_INFO
from tests.slide.exporting.sources import part_synthetic
from tests.slide.slides import request

try:
    import c2pa  # noqa: F401
except (ImportError, OSError):
    _MISSING = True
else:
    _MISSING = False

needs_library = pytest.mark.skipif(
    _MISSING, reason='needs c2pa-python: pip install "napari-histodiff[credentials]"'
)


@pytest.fixture(scope="module")
def identity(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("identity")
    files = folder / "mine.pem", folder / "mine.key"
    new_identity("Dr. Example", *files)
    return files


def edit(folder: Path, ending: str) -> Path:
    """Save an edit, and its image with another ending where that is asked for."""
    asked = request(Region(0, 0, 0, 64, 64))
    image = np.random.default_rng(0).integers(0, 256, (*asked.shape, 3), dtype=np.uint8)
    path = next(iter(save_edit(folder, "one", image, asked, info=FAKE_INFO)))
    if ending != ".tif":
        path.unlink()
        path = path.with_suffix(ending)
        Image.fromarray(image).save(path)
    return path


@needs_library
@pytest.mark.parametrize("ending", [".tif", ".png", ".jpg"])
def test_a_saved_variant_is_signed_read_and_seen_to_be_changed(tmp_path, identity, ending) -> None:
    path = edit(tmp_path, ending)
    before = np.asarray(Image.open(path))
    assert credentials_of(path) is None
    found = inspect_file(path)
    assert sign(path, found.said | {"statement": found.statement}, *identity) == path
    np.testing.assert_array_equal(np.asarray(Image.open(path)), before)
    signed = inspect_file(path)
    assert signed.statement == found.statement
    assert signed.credentials.valid
    assert not signed.credentials.trusted
    assert "by Dr. Example, whose certificate nobody vouches for: intact" in str(signed)
    path.with_suffix(".json").unlink()  # without what lies beside, the credentials still tell it
    alone = inspect_file(path)
    assert alone.place == "in its content credentials"
    assert "This image is synthetic" in alone.statement
    assert "seed" not in alone.said
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert not credentials_of(path).valid
    assert "do NOT hold" in str(inspect_file(path))


@needs_library
@pytest.mark.parametrize("ending", [".tif", ".png", ".jpg"])
def test_a_signed_file_that_was_cut_off_does_not_hold(tmp_path, identity, ending) -> None:
    path = edit(tmp_path, ending)
    sign(path, inspect_file(path).said, *identity)
    path.write_bytes(path.read_bytes()[:-200])
    assert not credentials_of(path).valid


@needs_library
@pytest.mark.parametrize("ending", [".tif", ".png", ".jpg"])
def test_what_is_no_image_has_no_credentials(tmp_path, ending) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"no image at all")
    assert credentials_of(path) is None


@needs_library
def test_a_pyramid_stays_one_and_its_digest_still_matches(tmp_path, identity) -> None:
    path = tmp_path / "a.tif"
    export_tiff(part_synthetic(), path, kind="pyramid")
    with tifffile.TiffFile(path) as tiff:
        levels = [level.asarray() for level in tiff.series[0].levels]
    result = CliRunner().invoke(
        main, ["sign", str(path), "--certificate", str(identity[0]), "--key", str(identity[1])]
    )
    assert result.exit_code == 0, result.output
    with tifffile.TiffFile(path) as tiff:
        for before, level in zip(levels, tiff.series[0].levels, strict=True):
            np.testing.assert_array_equal(level.asarray(), before)
    found = inspect_file(path)
    assert found.unchanged is True
    assert found.credentials.valid
    assert "Parts of this image are synthetic" in found.credentials.statement


@needs_library
def test_a_file_that_the_library_cannot_rewrite_is_told_and_left(tmp_path, identity) -> None:
    path = tmp_path / "a.ome.tif"
    export_tiff(part_synthetic(), path)
    assert credentials_of(path) is None  # it cannot be read, and that is no sign of a change
    assert inspect_file(path).credentials is None
    before = path.read_bytes()
    with pytest.raises(InvalidRequest, match="export with --format tiff"):
        sign(path, {"extent": "part"}, *identity)
    assert path.read_bytes() == before


@needs_library
def test_what_cannot_be_signed_is_refused_and_left_as_it_was(tmp_path, identity) -> None:
    path = edit(tmp_path, ".png")
    before, said = path.read_bytes(), {"extent": "all"}
    certificate, key = identity
    with pytest.raises(InvalidRequest, match="P-256"):
        sign(path, said, key, certificate)
    with pytest.raises(InvalidRequest, match="PNG, JPEG or TIFF"):
        sign(path, said, *identity, out=tmp_path / "a.gif")
    with pytest.raises(StorageError, match="check the paths"):
        sign(path, said, tmp_path / "none.pem", key)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises((InvalidRequest, StorageError)):
        sign(broken, said, *identity)
    assert path.read_bytes() == before
    assert broken.read_bytes() == b"no picture"
    assert not list(tmp_path.glob(".*"))


@needs_library
def test_signing_into_another_file_keeps_what_is_there(tmp_path, identity) -> None:
    path, out = edit(tmp_path, ".png"), tmp_path / "signed.png"
    out.write_bytes(b"mine")
    options = ["--certificate", str(identity[0]), "--key", str(identity[1]), "-o", str(out)]
    result = CliRunner().invoke(main, ["sign", str(path), *options])
    assert result.exit_code == 2
    assert f"got {out}, which exists; choose another name, or give --overwrite" in result.output
    assert out.read_bytes() == b"mine"
    result = CliRunner().invoke(main, ["sign", str(path), *options, "--overwrite"])
    assert result.exit_code == 0, result.output
    assert credentials_of(out).valid


@needs_library
def test_a_changed_export_is_not_signed(tmp_path, identity) -> None:
    path = tmp_path / "a.tif"
    export_tiff(part_synthetic(), path, kind="pyramid")
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages.first.dataoffsets[1] + 300
    data = bytearray(path.read_bytes())
    data[start] ^= 1
    path.write_bytes(data)
    options = ["--certificate", str(identity[0]), "--key", str(identity[1])]
    result = CliRunner().invoke(main, ["sign", str(path), *options])
    assert result.exit_code != 0
    assert path.read_bytes() == bytes(data)


def test_without_the_library_signing_says_what_to_install(tmp_path, identity, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    path = edit(tmp_path, ".png")
    with pytest.raises(InvalidRequest, match="c2pa-python"):
        sign(path, {}, *identity)
    assert credentials_of(path) is None
    assert inspect_file(path).credentials is None


def test_an_identity_is_two_files_and_never_replaces_one(tmp_path) -> None:
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    new_identity("Me", certificate, key)
    leaf, root = x509.load_pem_x509_certificates(certificate.read_bytes())
    leaf.verify_directly_issued_by(root)
    assert key.stat().st_mode & 0o077 == 0 or sys.platform == "win32"
    before = key.read_bytes()
    with pytest.raises(InvalidRequest, match="exists"):
        new_identity("Me", tmp_path / "b.pem", key)
    assert key.read_bytes() == before
    for name in ("", " ", "x" * 65):
        with pytest.raises(InvalidRequest, match="1 to 64 characters"):
            new_identity(name, tmp_path / "c.pem", tmp_path / "c.key")
    with pytest.raises(StorageError):
        new_identity("Me", tmp_path / "no" / "c.pem", tmp_path / "no" / "c.key")
