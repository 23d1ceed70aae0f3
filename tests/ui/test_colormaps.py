from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_histodiff.core.colours import rgb_of
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES, label_of
from napari_histodiff.ui.colormaps import (
    CLASS_COLOURS,
    PALETTE,
    TISSUE_PALETTE,
    UNKNOWN,
    edit_mask_colormap,
    nuclei_colormap,
    tissue_colormap,
)

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(rgb, matrix):
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    mixed = np.clip(linear @ np.asarray(matrix).T, 0, 1)
    return np.where(mixed <= 0.0031308, mixed * 12.92, 1.055 * mixed ** (1 / 2.4) - 0.055)


def shades(class_id):
    labels = np.array([label_of(i, class_id) for i in range(1, 7)], np.int32)
    return nuclei_colormap().map(labels)[:, :3]


def test_palette_has_the_classes_in_order_with_keys():
    assert tuple(entry.name for entry in PALETTE) == CLASS_NAMES
    assert [entry.key for entry in PALETTE] == list("123456")
    assert CLASS_COLOURS[1] == (0xD5, 0x48, 0x06)


def test_background_is_transparent_and_every_nucleus_opaque():
    alpha = nuclei_colormap().map(np.arange(0, 7 * 50, dtype=np.int32))[:, 3]
    assert alpha[0] == 0
    assert (alpha[1:] == 1).all()


@pytest.mark.parametrize("instance", [1, 2, 3, 4, 1000, 306_000_000])
@pytest.mark.parametrize("class_id", range(7))
def test_colour_follows_the_class_whatever_the_instance(class_id, instance):
    colour = nuclei_colormap().map(np.int32(label_of(instance, class_id)))[:3]
    entry = UNKNOWN if class_id == 0 else PALETTE[class_id - 1]
    plain = np.array([int(entry.colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    assert min(np.abs(colour - np.clip(plain * f, 0, 1)).max() for f in (1, 0.88, 1.1)) < 1e-6


@pytest.mark.parametrize("class_id", range(7))
def test_nuclei_painted_one_after_another_differ_in_shade(class_id):
    colours = shades(class_id)
    assert np.abs(np.diff(colours, axis=0)).max(axis=1).min() > 0.03


@pytest.mark.parametrize("vision", VISION)
def test_classes_stay_apart_with_every_colour_vision(vision):
    labs = [rgb2lab(seen(shades(class_id), VISION[vision])) for class_id in range(7)]
    for one, other in itertools.combinations(labs, 2):
        assert deltaE_ciede2000(one[:, None], other[None]).min() > 11


def test_tissue_has_a_colour_and_a_key_each():
    assert tuple(entry.name for entry in TISSUE_PALETTE) == TISSUE_NAMES[1:]
    assert len({entry.key for entry in TISSUE_PALETTE}) == len(TISSUE_PALETTE)
    colours = tissue_colormap().map(np.arange(len(TISSUE_NAMES), dtype=np.uint8))
    assert colours[0, 3] == 0
    for entry, colour in zip(TISSUE_PALETTE, colours[1:], strict=True):
        np.testing.assert_allclose(colour[:3] * 255, rgb_of(entry.colour), atol=0.01)
        assert colour[3] == 1


@pytest.mark.parametrize("vision", VISION)
def test_tissues_stay_apart_with_every_colour_vision(vision):
    colours = tissue_colormap().map(np.arange(1, len(TISSUE_NAMES), dtype=np.uint8))[:, :3]
    lab = rgb2lab(seen(colours, VISION[vision]))
    for one, other in itertools.combinations(lab, 2):
        assert deltaE_ciede2000(one, other) > 13


def test_edit_mask_shows_where_it_is_set():
    colours = edit_mask_colormap().map(np.array([0, 1], np.uint8))
    assert colours[0, 3] == 0
    assert colours[1, 3] == 1
