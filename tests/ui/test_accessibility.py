"""Whoever cannot see colours, or uses the keyboard alone, or a screen reader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QScrollBar,
    QWidget,
)

from napari_histodiff.ui.commands import COMMANDS
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.training.dock import TrainingDock
from napari_histodiff.ui.widgets.style import dock_style, inks
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine

CONTROLS = (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
)
#: Controls of several parts, all Qt's own.
WHOLE = QAbstractSpinBox | QComboBox | QLineEdit | QListWidget | QPlainTextEdit
#: Readable text: WCAG 2.2, AA.
ENOUGH = 4.5


@pytest.fixture
def dock(open_dock: OpenDock) -> StudioDock:
    return open_dock(RecordingEngine())


def inside_a_control(widget: QWidget) -> bool:
    """Whether a widget is Qt's own part of another control, such as a spin box's text field."""
    if isinstance(widget, QScrollBar):
        return True
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, WHOLE):
            return True
        parent = parent.parentWidget()
    return widget.objectName().startswith("qt_")


def controls(root: QWidget) -> list[QWidget]:
    found = (w for kind in CONTROLS for w in root.findChildren(kind))
    return [widget for widget in found if not inside_a_control(widget)]


def words_on(widget: QWidget) -> str:
    return str(widget.text()) if isinstance(widget, QAbstractButton) else ""


def buddies(root: QWidget) -> set[QWidget]:
    return {label.buddy() for label in root.findChildren(QLabel) if label.buddy() is not None}


@pytest.mark.parametrize("which", ["studio", "training"])
def test_every_control_has_a_name_for_screen_readers(dock: StudioDock, which: str, qtbot) -> None:
    root: QWidget = dock
    if which == "training":
        root = TrainingDock(dock.viewer)
        qtbot.addWidget(root)
    named = buddies(root)
    nameless = [
        f"{type(w).__name__} {w.objectName()!r} in {type(w.parentWidget()).__name__}"
        for w in controls(root)
        if not (w.accessibleName() or w in named or re.search("[A-Za-z]{2}", words_on(w)))
        and not isinstance(w.parentWidget(), QAbstractSlider)
    ]
    assert "\n".join(nameless) == ""


def test_everything_is_reached_by_keyboard(dock: StudioDock) -> None:
    without = [
        f"{type(w).__name__} {w.objectName()!r} {getattr(w, 'text', str)()!r}"
        for w in controls(dock)
        if not w.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not isinstance(w.parentWidget(), QAbstractSlider)
        and w.parentWidget().focusProxy() is None
    ]
    assert without == []


def test_every_key_is_listed_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "keyboard.md").read_text().replace("`", "")
    keys = {command.key_text for command in COMMANDS if command.key}
    listed = {row[0] for row in re.findall(r"^\| (\S+) \| (.+?) \|$", text, re.MULTILINE)}
    assert keys - listed == set()


def luminance(colour: tuple[float, ...]) -> float:
    parts = [c / 255 for c in colour[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lights = sorted((luminance(rgb(c)) for c in (one, other)), reverse=True)
    return (lights[0] + 0.05) / (lights[1] + 0.05)


def rgb(colour: str) -> tuple[int, ...]:
    colour = {"white": "#ffffff", "black": "#000000"}.get(colour, colour)
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    return tuple(int(digits[i : i + 2], 16) for i in (0, 2, 4))


def test_contrast_is_computed_as_the_guidelines_do() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_of_every_role_is_readable(theme: str) -> None:
    ground = get_theme(theme).background.as_hex()
    assert {
        role: round(contrast(ink, ground), 1)
        for role, ink in inks(theme).items()
        if contrast(ink, ground) < ENOUGH
    } == {}


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_on_every_button_is_readable(theme: str) -> None:
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", dock_style(theme))
    grounds, text = {}, get_theme(theme).text.as_hex()
    for selector, body in rules:
        colours = dict(re.findall(r"(?<![\w-])(background|color):\s*([#\w]+)", body))
        if "background" in colours and "disabled" not in selector and "chunk" not in selector:
            ink = colours.get("color", "white" if 'role="' in selector else text)
            grounds[selector.strip()] = contrast(ink, colours["background"])
    assert len(grounds) > 5
    assert {name: round(c, 2) for name, c in grounds.items() if c < ENOUGH} == {}
