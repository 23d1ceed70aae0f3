"""The question for a new slide: how large, of what, where to keep it; with a picture of it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLayout,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.recipe import MAX_SIDE, SlideRecipe
from napari_histodiff.core.requests import LIMITS
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.exporting.targets import without_ending
from napari_histodiff.slide.sketch_files import read_sketch
from napari_histodiff.ui.generation.settings import Settings
from napari_histodiff.ui.slide.layout_preview import LayoutPainter, LayoutPreview, paint_layout
from napari_histodiff.ui.slide.new_slide import NewSlide, new_slide_form
from napari_histodiff.ui.slide.recent import SUFFIX, SlidePlaces
from napari_histodiff.ui.slide.status import cost_of, magnification_of, size_text
from napari_histodiff.ui.text import bytes_text, count_text, for_people
from napari_histodiff.ui.widgets.caption_report import CaptionReport
from napari_histodiff.ui.widgets.dialogs import align_fields
from napari_histodiff.ui.widgets.forms import (
    button,
    dice_icon,
    free_bytes,
    note_label,
    row,
)
from napari_histodiff.ui.widgets.style import SUBTLE, WARNING

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

__all__ = ["SIDES", "NewSlideDialog"]

#: Sides offered at a click, in pixels.
SIDES: Final = (4096, 16_384, 65_536, MAX_SIDE)

_FORM_WIDTH: Final = 448


class NewSlideDialog(QDialog):
    """Everything a new slide is a function of; Enter makes it.

    Parameters
    ----------
    parent : QWidget, optional
        What it stands on.
    places : SlidePlaces
        Where slides are kept.
    info : BackendInfo, optional
        The model that will draw it; until `set_info` tells one, nothing can be made.
    settings : Settings, optional
        What the fields start with.
    painter : callable, optional
        Another way to draw the layout than `paint_layout`.
    sketch_reader : callable, optional
        Another way to read a sketch than `read_sketch`.
    """

    def __init__(
        self,
        parent: QWidget | None,
        places: SlidePlaces,
        info: BackendInfo | None,
        settings: Settings | None = None,
        *,
        painter: LayoutPainter = paint_layout,
        sketch_reader: Callable[[Path, int, int], Sketch] = read_sketch,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("New slide")
        self._places = places
        self._info = info
        self._read_sketch = sketch_reader
        self._sketch: Sketch | None = None
        self._sketch_problem = ""
        self._rng = np.random.default_rng()
        self._make_fields(settings or Settings())
        self._told_guidance: float = self.guidance.value()
        self.preview = LayoutPreview(painter)
        self._lay_out()
        self._connect()
        self.set_info(info)

    def set_info(self, info: BackendInfo | None) -> None:
        """Tell which model will draw the slide."""
        self._info = info
        low, high = LIMITS["mpp"] if info is None else info.mpp
        with signals_blocked(self.mpp):
            self.mpp.setRange(low, high)
        if info is not None and self.guidance.value() == self._told_guidance:
            self._told_guidance = info.guidance_scale
            with signals_blocked(self.guidance):
                self.guidance.setValue(info.guidance_scale)
        with signals_blocked(self.quick):
            self.quick.setEnabled(info is None or info.coarse_levels > 1)
        self.mpp.setToolTip(
            f"Micrometres per pixel of the finest level; the model knows {low:g} to {high:g}"
        )
        self._refresh()

    def recipe(self) -> SlideRecipe | None:
        """Return what is in the fields; None while no model is loaded."""
        if self._info is None:
            return None
        return SlideRecipe.plan(
            self._info,
            height=self.height_px.value(),
            width=self.width_px.value(),
            mpp=round(self.mpp.value(), 3),
            seed=self.seed.value(),
            caption=" ".join(self.caption.text().split()),
            guidance_scale=round(self.guidance.value(), 2),
            steps=self.steps.value(),
            quick=self.quick.isChecked(),
        )

    @property
    def path(self) -> Path:
        """The folder of the slide."""
        folder = Path(self.folder.text().strip()).expanduser()
        name = without_ending(Path(self.name.text().strip())).name
        return folder / f"{name}{SUFFIX}"

    def problem(self) -> str:
        """Say what keeps the slide from being made; empty when nothing does."""
        name = self.name.text().strip()
        if self._info is None:
            return "The model is loading; the slide can be made when it is ready."
        if not name or not self.folder.text().strip():
            return "Give the slide a name and a folder to keep it in."
        if {"/", "\\"} & set(name):
            return "A name has no slashes; choose the folder below it."
        if self.path.exists():
            return f"{self.path.name} exists in this folder; choose another name."
        return self._sketch_problem

    def new_slide(self) -> NewSlide:
        """Return what the user asked for, once the dialog was accepted."""
        recipe = self.recipe()
        assert recipe is not None
        return NewSlide(self.path, recipe, self._sketch)

    def roll(self) -> None:
        """Take another seed."""
        self.seed.setValue(int(self._rng.integers(2**31)))

    def showEvent(self, event: QShowEvent | None) -> None:
        """Line the fields up, now that the labels have their font."""
        widest = align_fields(self.form)
        for indent in self._indents:
            indent.setFixedWidth(widest)
        super().showEvent(event)

    def done(self, result: int) -> None:
        """End; no thread goes on drawing."""
        self.preview.stop()
        super().done(result)

    # ------------------------------------------------------------------ layout
    def _make_fields(self, settings: Settings) -> None:
        self.form = form = new_slide_form()
        form["name"].value = self._places.free_name(self._places.folder)
        form["folder"].value = str(self._places.folder)
        form["caption"].value, form["steps"].value = settings.caption, settings.steps
        form["sketch"].value = ""
        self.width_px, self.height_px = form["width"].native, form["height"].native
        self.mpp, self.caption = form["mpp"].native, form["caption"].native
        self.seed, self.guidance = form["seed"].native, form["guidance"].native
        self.steps, self.name = form["steps"].native, form["name"].native
        self.sketch, self.folder = form["sketch"].native, form["folder"].native
        self.mpp.setDecimals(3)
        self.quick = form["quick"].native
        self.guidance.setDecimals(1)
        self.roll()
        self.caption.setPlaceholderText("colon, high epithelial, gland, pink stain")
        self.sketch.setPlaceholderText("none: seed and caption lay it out")
        self.name.setToolTip("Name of the slide")
        self.folder.setToolTip("The folder that slides are kept in")
        for field, name in (
            *((self.width_px, "Width in pixels"), (self.height_px, "Height in pixels")),
            *((self.caption, "Caption"), (self.seed, "Seed"), (self.guidance, "Guidance")),
            *((self.steps, "Steps"), (self.sketch, "Sketch"), (self.mpp, "Pixel size")),
            *((self.folder, "Folder"), (self.name, "Name"), (self.quick, "Quick")),
        ):
            field.setAccessibleName(name)

    def _lay_out(self) -> None:
        self.microns, self.report = (
            note_label(),
            CaptionReport("No caption: seed and sketch alone decide."),
        )
        self.report.meant.connect(self._correct)
        self.cost, self.problem_note = note_label(), note_label()
        self.problem_note.setProperty("role", WARNING)
        self.microns.setProperty("role", SUBTLE)
        self.report.setMinimumHeight(3 * self.fontMetrics().height())
        beside = QVBoxLayout()
        beside.addWidget(self.preview, alignment=Qt.AlignmentFlag.AlignHCenter)
        beside.addWidget(self.cost)
        beside.addStretch(1)
        columns = QHBoxLayout()
        columns.setSpacing(16)
        columns.addWidget(self._make_form())
        columns.addLayout(beside)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.make = self._buttons.addButton("Make slide", QDialogButtonBox.ButtonRole.AcceptRole)
        self.make.setObjectName("make")
        outer = QVBoxLayout(self)
        outer.setSpacing(10)
        outer.addLayout(columns)
        outer.addStretch(1)
        outer.addLayout(row(self.problem_note, self._buttons, stretch=0))
        outer.setSizeConstraint(QLayout.SizeConstraint.SetMinimumSize)
        self.make.setDefault(True)  # only now does it know its dialog

    def _make_form(self) -> QWidget:
        self.dice = button("", "Another seed (Alt+R)", share=False)
        self.dice.setIcon(dice_icon())
        self.dice.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        self.dice.setShortcut("Alt+R")
        self.dice.setAccessibleName("Another seed")
        for name, ask in (("sketch", self._ask_sketch), ("folder", self._ask_folder)):
            find = button("…", f"Choose a {name}", share=False)
            find.setObjectName(f"find_{name}")
            find.clicked.connect(ask)
            self._row_of(name).addWidget(find)
        self._row_of("mpp").addWidget(self.microns, 1)
        self._row_of("seed").addWidget(self.dice)
        self._row_of("seed").setStretchFactor(self.seed, 1)
        self._row_of("name").addWidget(QLabel(SUFFIX))
        self._indents = (QLabel(), QLabel())
        rows: QVBoxLayout = self.form.native.layout()
        below_caption = row(self._indents[0], self.report, stretch=1)
        for name, below in (
            ("caption", below_caption),
            ("height", self._presets(self._indents[1])),
        ):
            below.setSpacing(6)  # as in the rows of magicgui
            rows.insertLayout(rows.indexOf(self.form[name].native.parentWidget()) + 1, below)
        self.form.native.setFixedWidth(_FORM_WIDTH)
        return self.form.native

    def _row_of(self, name: str) -> QHBoxLayout:
        return self.form[name].native.parentWidget().layout()

    def _presets(self, indent: QLabel) -> QHBoxLayout:
        self.sides = {
            side: button(f"{side:,}", f"{side:,} × {side:,} pixels", checkable=True)
            for side in SIDES
        }
        for side, preset in self.sides.items():
            preset.setObjectName(f"side_{side}")
            preset.clicked.connect(lambda _=False, n=side: self.take_side(n))
        return row(indent, *self.sides.values(), stretch=(1, 2, 3, 4))

    def _connect(self) -> None:
        for box in (
            *(self.width_px, self.height_px, self.mpp),
            *(self.seed, self.guidance, self.steps),
        ):
            box.valueChanged.connect(self._refresh)
        self.quick.toggled.connect(self._refresh)
        for line in (self.caption, self.name, self.folder):
            line.textChanged.connect(self._refresh)
        self.sketch.editingFinished.connect(self._take_sketch)
        for box in (self.width_px, self.height_px):
            box.valueChanged.connect(self._take_sketch)
        self.dice.clicked.connect(self.roll)
        self._buttons.accepted.connect(self._accept)
        self._buttons.rejected.connect(self.reject)

    # -------------------------------------------------------------------- show
    def _correct(self, word: str, meant: str) -> None:
        self.caption.setText(self.caption.text().replace(word, meant, 1))

    def _refresh(self, *_: object) -> None:
        text = self.caption.text().strip()
        self.report.show_caption(text)
        height, width, mpp = self.height_px.value(), self.width_px.value(), self.mpp.value()
        for side, preset in self.sides.items():
            preset.setChecked(height == width == side)
        size = size_text(height, width, mpp)
        self.microns.setText(f"{size} at {magnification_of(mpp):.3g}×")
        recipe = self.recipe()
        self.preview.show_layout(recipe, self._sketch)
        self.cost.setText("" if recipe is None else self._cost_text(recipe))
        problem = self.problem()
        self.problem_note.setText(f"⚠ {escape(problem)}" if problem else "")
        self.make.setEnabled(not problem)

    def _cost_text(self, recipe: SlideRecipe) -> str:
        cost = cost_of(recipe)
        free = free_bytes(self.path.parent)
        there = f" ({bytes_text(free)} free)" if free is not None else ""
        return (
            "Nothing is drawn until you look at it.<br>"
            f"All of it: {count_text(cost.tiles, 'tile')}, "
            f"at most {bytes_text(cost.largest)}{there}."
        )

    # ------------------------------------------------------------------ choose
    def _accept(self) -> None:
        self._take_sketch()
        if not self.problem():
            self._places.use_folder(self.path.parent)
            self.accept()

    def take_side(self, side: int) -> None:
        """Make the slide a square."""
        with signals_blocked(self.width_px, self.height_px):
            self.width_px.setValue(side)
            self.height_px.setValue(side)
        self._take_sketch()
        self._refresh()

    def _take_sketch(self, *_: object) -> None:
        text = self.sketch.text().strip()
        self._sketch, self._sketch_problem = None, ""
        if text:
            path = Path(text).expanduser()
            try:
                self._sketch = self._read_sketch(
                    path, self.height_px.value(), self.width_px.value()
                )
            except HistodiffError as error:
                self._sketch_problem = for_people(str(error))
        self._refresh()

    def _ask_sketch(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Sketch of tissue classes", self.folder.text(), "Sketch (*.png)"
        )
        if chosen:
            self.sketch.setText(chosen)
            self._take_sketch()

    def _ask_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder for slides", self.folder.text())
        if chosen:
            self.folder.setText(chosen)
