from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QFileDialog

from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.core.recipe import MAX_SIDE, MIN_SIDE, SlideRecipe
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.ui.generation.settings import Settings
from napari_histodiff.ui.slide.layout_preview import LayoutPreview, paint_layout
from napari_histodiff.ui.slide.new_slide_dialog import SIDES, NewSlideDialog
from napari_histodiff.ui.slide.recent import SUFFIX, SlidePlaces
from tests.fakes import FAKE_INFO
from tests.ui.find import press
from tests.ui.slide.widget_doubles import recipe_of


def flat(recipe: SlideRecipe, sketch: Sketch | None) -> np.ndarray:
    return np.full((8, 16, 3), recipe.seed % 200, np.uint8)


def sketch_of(path: Path, height: int, width: int) -> Sketch:
    if path.suffix != ".png":
        raise InvalidImage(f"expected a picture, got {path.name}; save the sketch as PNG")
    return Sketch(np.ones((2, 2), np.uint8), pixel=max(height, width) // 2)


@pytest.fixture
def places(tmp_path: Path) -> SlidePlaces:
    made = SlidePlaces(tmp_path / "slides.json")
    made.use_folder(tmp_path / "kept")
    return made


@pytest.fixture
def dialog(qtbot, places: SlidePlaces) -> Iterator[NewSlideDialog]:
    made = NewSlideDialog(
        None,
        places,
        FAKE_INFO,
        Settings(caption="colon", steps=3, guidance_scale=2.0),
        painter=flat,
        sketch_reader=sketch_of,
    )
    qtbot.addWidget(made)
    yield made
    made.preview.stop()


def test_defaults_need_nothing_but_enter(dialog: NewSlideDialog, tmp_path: Path, qtbot) -> None:
    dialog.show()
    qtbot.keyClick(dialog.caption, Qt.Key.Key_Return)
    assert dialog.result() == QDialog.DialogCode.Accepted
    new = dialog.new_slide()
    assert new.path == tmp_path / "kept" / f"slide-1{SUFFIX}"
    assert new.recipe == SlideRecipe.plan(
        FAKE_INFO,
        height=16_384,
        width=16_384,
        mpp=0.5,
        seed=new.recipe.seed,
        caption="colon",
        steps=3,
    )
    assert new.sketch is None


def test_enter_in_a_number_counts_the_number(dialog: NewSlideDialog, qtbot) -> None:
    dialog.show()
    dialog.width_px.lineEdit().setText("5000")
    qtbot.keyClick(dialog.width_px, Qt.Key.Key_Return)
    assert dialog.result() == QDialog.DialogCode.Accepted
    assert dialog.new_slide().recipe.width == 5000


def test_presets_set_both_sides(dialog: NewSlideDialog) -> None:
    for side in SIDES:
        press(dialog, f"side_{side}")
        assert dialog.height_px.value() == dialog.width_px.value() == side
        assert [n for n, made in dialog.sides.items() if made.isChecked()] == [side]
    assert dialog.width_px.minimum() == MIN_SIDE
    assert dialog.width_px.maximum() == MAX_SIDE
    dialog.width_px.setValue(5000)
    assert not any(made.isChecked() for made in dialog.sides.values())


def test_size_and_cost_are_told(dialog: NewSlideDialog) -> None:
    dialog.take_side(16_384)
    dialog.mpp.setValue(0.25)
    assert dialog.microns.text() == "4.10 × 4.10 mm at 40×"
    assert "Nothing is drawn until you look at it." in dialog.cost.text()
    # 64 x 64, 32 x 32 and 16 x 16 tiles of 0.25, 0.5 and 1 um per pixel.
    assert "5,376 tiles" in dialog.cost.text()
    assert "at most 1.1 GB" in dialog.cost.text()
    assert "free)" in dialog.cost.text()


def test_pixel_size_stays_in_the_model_s_range(dialog: NewSlideDialog) -> None:
    assert (dialog.mpp.minimum(), dialog.mpp.maximum()) == FAKE_INFO.mpp
    dialog.set_info(replace(FAKE_INFO, mpp=(0.25, 0.4)))
    assert dialog.mpp.value() == 0.4
    assert dialog.recipe().mpp == 0.4


def test_quick_is_for_models_that_draw_levels_finer(dialog: NewSlideDialog) -> None:
    assert not dialog.quick.isEnabled()
    dialog.set_info(replace(FAKE_INFO, coarse_levels=2))
    assert dialog.quick.isEnabled()
    assert dialog.recipe().drawn_finer
    dialog.quick.setChecked(True)
    assert not dialog.recipe().drawn_finer


def test_guidance_follows_the_model_until_it_is_chosen(dialog: NewSlideDialog) -> None:
    assert dialog.recipe().guidance_scale == FAKE_INFO.guidance_scale
    dialog.set_info(replace(FAKE_INFO, guidance_scale=5.0))
    assert dialog.recipe().guidance_scale == 5.0
    dialog.guidance.setValue(2.5)
    dialog.set_info(FAKE_INFO)
    assert dialog.recipe().guidance_scale == 2.5


def test_caption_is_reported_as_in_the_dock(dialog: NewSlideDialog) -> None:
    dialog.caption.setText("colon, zebra")
    assert "Used: colon" in dialog.report.text()
    assert "Ignored: zebra" in dialog.report.text()
    dialog.caption.setText("colon, gland")
    assert dialog.report.text() == "✓ Every word is used."
    dialog.caption.setText("")
    assert "No caption" in dialog.report.text()


def test_the_dice_give_another_seed(dialog: NewSlideDialog) -> None:
    seeds = {dialog.seed.value()}
    for _ in range(3):
        dialog.dice.click()
        seeds.add(dialog.seed.value())
    assert len(seeds) == 4


def test_an_existing_name_is_refused(dialog: NewSlideDialog, tmp_path: Path) -> None:
    (tmp_path / "kept" / f"taken{SUFFIX}").mkdir(parents=True)
    dialog.name.setText("taken")
    assert "exists" in dialog.problem_note.text()
    assert not dialog.make.isEnabled()
    press(dialog, "make")
    assert dialog.result() != QDialog.DialogCode.Accepted
    dialog.name.setText(f"free{SUFFIX}")
    assert dialog.make.isEnabled()
    assert dialog.path == tmp_path / "kept" / f"free{SUFFIX}"
    dialog.name.setText("free.zarr")
    assert dialog.path == tmp_path / "kept" / f"free{SUFFIX}"


@pytest.mark.parametrize("name", ["", "a/b", "a\\b"])
def test_a_name_is_asked_for(dialog: NewSlideDialog, name: str) -> None:
    dialog.name.setText(name)
    assert not dialog.make.isEnabled()
    assert "ame" in dialog.problem_note.text()


def test_it_waits_for_the_model(dialog: NewSlideDialog) -> None:
    dialog.set_info(None)
    assert "loading" in dialog.problem_note.text()
    assert not dialog.make.isEnabled()
    assert dialog.recipe() is None
    dialog.set_info(FAKE_INFO)
    assert dialog.make.isEnabled()


def test_the_folder_is_remembered(
    dialog: NewSlideDialog, places: SlidePlaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "other"))
    press(dialog, "find_folder")
    dialog.make.click()
    assert places.folder == tmp_path / "other"


def test_a_sketch_is_read_for_the_size_at_hand(
    dialog: NewSlideDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = str(tmp_path / "sketch.png")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (chosen, ""))
    press(dialog, "find_sketch")
    assert dialog.new_slide().sketch.pixel == 8192
    dialog.take_side(4096)
    assert dialog.new_slide().sketch.pixel == 2048
    dialog.sketch.setText("")
    dialog.sketch.editingFinished.emit()
    assert dialog.new_slide().sketch is None


def test_a_sketch_that_is_none_is_told(dialog: NewSlideDialog) -> None:
    dialog.sketch.setText("sketch.txt")
    dialog.sketch.editingFinished.emit()
    assert "Save the sketch as PNG" in dialog.problem_note.text()
    assert not dialog.make.isEnabled()


def test_fields_have_names_to_be_read_out(dialog: NewSlideDialog) -> None:
    for field in (
        *(dialog.width_px, dialog.height_px, dialog.mpp, dialog.caption, dialog.seed),
        *(dialog.guidance, dialog.steps, dialog.sketch, dialog.name, dialog.folder),
        *(dialog.preview, dialog.dice),
    ):
        assert field.accessibleName()


def test_the_layout_is_drawn_after_a_moment(dialog: NewSlideDialog, qtbot) -> None:
    qtbot.waitUntil(lambda: not dialog.preview.pixmap().isNull())
    dialog.seed.setValue(57)

    def shows_the_seed() -> bool:
        image = dialog.preview.pixmap().toImage()
        return image.pixelColor(image.width() // 2, image.height() // 2).red() == 57

    qtbot.waitUntil(shows_the_seed)
    assert dialog.preview.pixmap().width() == 2 * dialog.preview.pixmap().height()


def test_only_the_newest_layout_is_drawn(qtbot) -> None:
    drawn: list[int] = []
    go = Event()

    def slow(recipe: SlideRecipe, sketch: Sketch | None) -> np.ndarray:
        drawn.append(recipe.seed)
        go.wait(30)
        return flat(recipe, sketch)

    preview = LayoutPreview(slow)
    qtbot.addWidget(preview)
    preview.show_layout(recipe_of(seed=1))
    qtbot.waitUntil(lambda: drawn == [1])
    for seed in (2, 3, 4):
        preview.show_layout(recipe_of(seed=seed))
    go.set()
    qtbot.waitUntil(lambda: drawn == [1, 4])
    qtbot.waitUntil(lambda: not preview.pixmap().isNull())
    preview.stop()


def test_a_layout_that_fails_says_why(qtbot) -> None:
    def failing(recipe: SlideRecipe, sketch: Sketch | None) -> np.ndarray:
        raise InvalidImage("expected a sketch, got a poem; draw one")

    preview = LayoutPreview(failing)
    qtbot.addWidget(preview)
    preview.show_layout(recipe_of())
    qtbot.waitUntil(lambda: "poem" in preview.text())
    preview.show_layout(None)
    assert preview.text() == ""
    preview.stop()


def test_the_whole_layout_is_painted_at_the_coarsest_level() -> None:
    recipe = recipe_of(1024, 2048, seed=3)
    assert paint_layout(recipe, None).shape == (256, 512, 3)
