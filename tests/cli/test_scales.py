"""What the command line writes states its pixel size, so that it comes back at its own scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner
from skimage.io import imsave

from napari_histodiff.cli.main import main
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.slide.export import save_edit


def test_suggested_maps_state_the_scale_they_were_made_at(tmp_path: Path) -> None:
    classes = np.zeros((96, 96), np.uint8)
    classes[20:30, 20:30] = 2
    imsave(tmp_path / "classes.png", classes, check_contrast=False)
    out = tmp_path / "out"
    words = ["suggest", str(tmp_path / "classes.png"), "--mpp", "0.25", "-o", str(out)]
    run = CliRunner().invoke(main, words)
    assert run.exit_code == 0, run.output
    written = [path for path in out.iterdir() if path.suffix in (".png", ".tif")]
    assert len(written) == 3
    assert all(np.isclose(read_picture(path).mpp or 0, 0.25, rtol=1e-4) for path in written)


def test_pictures_and_masks_of_an_edit_state_its_scale(tmp_path: Path) -> None:
    image = np.full((64, 64, 3), 200, np.uint8)
    request = EditRequest(
        kind=EditKind.INPAINT,
        region=Region(0, 0, 0, 64, 64),
        image=image,
        edit_mask=np.ones((64, 64), np.bool_),
        tissue_map=np.ones((64, 64), np.uint8),
        mpp=0.37,
    )
    save_edit(tmp_path, "edit", image, request, png=True)
    pictures = sorted(tmp_path.glob("*.png"))
    assert len(pictures) == 3
    assert all(np.isclose(read_picture(path).mpp or 0, 0.37, rtol=1e-4) for path in pictures)
