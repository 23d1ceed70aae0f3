"""The loss curve that matplotlib draws in the dock."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from napari.utils.theme import get_theme
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_histodiff.ui.training.progress_box import LossCurve
from tests.ui.test_accessibility import ENOUGH, contrast

TRAIN = np.array([[100.0, 1.5], [5000.0, 0.4], [12_000.0, 0.3]])
CHECKS = np.array([[5000.0, 0.45], [9000.0, 0.38], [12_000.0, 0.41]])
NONE = np.empty((0, 2))


@pytest.fixture
def curve(qtbot) -> LossCurve:
    curve = LossCurve()
    qtbot.addWidget(curve)
    curve.resize(330, 190)
    curve.show()
    return curve


def test_matplotlib_comes_with_the_first_losses(curve: LossCurve, qtbot) -> None:
    curve.set_losses(NONE, NONE)
    assert curve.figure is None
    assert "first log" in curve.words.text()
    curve.set_losses(TRAIN, CHECKS)
    qtbot.waitUntil(lambda: curve.figure is not None, timeout=60_000)
    assert curve.words.isHidden()
    axes = curve.figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training crops", "loss")
    lines = {line.get_label(): np.transpose(line.get_data()) for line in axes.lines}
    np.testing.assert_array_equal(lines["training"], TRAIN)
    np.testing.assert_array_equal(lines["validation"], CHECKS)
    np.testing.assert_array_equal(lines["best"], CHECKS[1:2])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(lines)


def test_losses_that_a_log_scale_has_no_place_for_are_left_out(curve: LossCurve, qtbot) -> None:
    curve.set_losses(np.array([[1.0, 0.0], [2.0, 0.5]]), NONE)
    qtbot.waitUntil(lambda: curve.figure is not None, timeout=60_000)
    (line,) = curve.figure.axes[0].lines
    assert line.get_xydata().tolist() == [[2.0, 0.5]]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_curve_is_readable_on_the_themes_ground(curve: LossCurve, qtbot, theme: str) -> None:
    curve.set_losses(TRAIN, CHECKS)
    qtbot.waitUntil(lambda: curve.figure is not None, timeout=60_000)
    colours = get_theme(theme)
    curve.set_colours(colours.text.as_hex(), colours.foreground.as_hex())
    axes = curve.figure.axes[0]
    ground = to_hex(axes.get_facecolor())
    assert ground == to_hex(curve.figure.get_facecolor()) == to_hex(colours.foreground.as_hex())
    inks = [to_hex(line.get_markeredgecolor()) for line in axes.lines]
    inks += [to_hex(label.get_color()) for label in (axes.xaxis.label, axes.yaxis.label)]
    inks += [to_hex(text.get_color()) for text in axes.get_legend().get_texts()]
    assert {ink for ink in inks if contrast(ink, ground) < ENOUGH} == set()


def test_the_curve_says_in_words_what_it_shows(curve: LossCurve) -> None:
    assert curve.accessibleName() == "Loss over training crops"
    curve.set_losses(TRAIN, NONE)
    assert curve.accessibleDescription() == "Training loss 0.3 after 12,000 crops."
    curve.set_losses(TRAIN, CHECKS)
    assert "Best validation loss 0.38 after 9,000 crops." in curve.accessibleDescription()


def test_the_wheel_over_the_curve_scrolls_the_dock(curve: LossCurve, qtbot) -> None:
    curve.set_losses(TRAIN, CHECKS)
    qtbot.waitUntil(lambda: curve.figure is not None, timeout=60_000)
    middle = curve.rect().center()
    assert curve.childAt(middle) is None
    turned = QWheelEvent(
        *(QPointF(middle), QPointF(curve.mapToGlobal(middle)), QPoint(), QPoint(0, 120)),
        *(Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase),
        False,
    )
    QApplication.sendEvent(curve, turned)
    assert not turned.isAccepted()
