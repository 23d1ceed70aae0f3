from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt

from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.ui.slide.minimap import VEILS, Minimap, veil
from tests.ui.slide.widget_doubles import StillSession, recipe_of


@pytest.fixture
def session() -> StillSession:
    return StillSession(recipe_of(4096, 8192))


@pytest.fixture
def minimap(qtbot, session: StillSession) -> Minimap:
    made = Minimap(160)
    qtbot.addWidget(made)
    made.set_session(session)
    made.show()
    return made


def _pixels(minimap: Minimap) -> np.ndarray:
    image = minimap.grab().toImage()
    return np.array(
        [
            [image.pixelColor(x, y).getRgb()[:3] for x in range(image.width())]
            for y in range(image.height())
        ]
    )


def test_it_has_the_shape_of_the_slide(minimap: Minimap) -> None:
    assert (minimap.width(), minimap.height()) == (160, 80)
    assert max(minimap.width(), minimap.height()) <= 220


def test_it_shows_the_overview_and_the_view(minimap: Minimap) -> None:
    pixels = _pixels(minimap)
    assert tuple(pixels[70, 150]) == (200, 100, 150)
    # The view is (1024, 2048) to (1536, 3072): 20..30 of 80 rows, 40..60 of 160 columns.
    white = (pixels == 255).all(axis=-1)
    rows, cols = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    assert np.abs(rows[[0, -1]] - (20, 30)).max() <= 1
    assert np.abs(cols[[0, -1]] - (40, 60)).max() <= 1


def test_a_tiny_view_can_still_be_seen(minimap: Minimap, session: StillSession) -> None:
    session.view = session.view.pad(-255)
    minimap.set_session(session)
    white = (_pixels(minimap) == 255).all(axis=-1)
    assert white.any(axis=1).sum() >= 6
    assert white.any(axis=0).sum() >= 6


def test_a_click_goes_there_and_a_drag_follows(minimap: Minimap, qtbot) -> None:
    went: list[tuple[int, int]] = []
    minimap.went.connect(lambda y, x: went.append((y, x)))
    qtbot.mousePress(minimap, Qt.MouseButton.LeftButton, pos=QPoint(80, 40))
    assert went == [(2048, 4096)]
    qtbot.mouseRelease(minimap, Qt.MouseButton.LeftButton, pos=QPoint(80, 40))
    qtbot.mouseClick(minimap, Qt.MouseButton.RightButton, pos=QPoint(10, 10))
    assert len(went) == 1


def test_places_outside_are_brought_inside(minimap: Minimap) -> None:
    assert minimap.slide_position(QPointF(-50, 1000)) == (4095, 0)


def test_arrows_move_by_half_a_view_and_home_to_the_middle(minimap: Minimap, qtbot) -> None:
    went: list[tuple[int, int]] = []
    minimap.went.connect(lambda y, x: went.append((y, x)))
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Home):
        qtbot.keyClick(minimap, key)
    # The middle of the view is (1280, 2560), its half (256, 512).
    assert went == [(1280, 3072), (1024, 2560), (2048, 4096)]


def test_it_looks_at_most_four_times_a_second(minimap: Minimap, session: StillSession) -> None:
    before = session.overviews
    for _ in range(50):
        minimap.refresh()
    assert session.overviews == before


def test_a_late_look_shows_the_newest(minimap: Minimap, session: StillSession, qtbot) -> None:
    session.view = session.view.translate(0, 4096)
    minimap.refresh()
    before = _pixels(minimap)
    qtbot.waitUntil(lambda: (_pixels(minimap) != before).any())


def test_coverage_is_read_only_while_it_is_shown(minimap: Minimap, session: StillSession) -> None:
    assert session.coverages == 0
    plain = _pixels(minimap)
    minimap.set_veil(shown=True)
    assert session.coverages == 1
    veiled = _pixels(minimap)
    changed = (veiled != plain).any(axis=-1)
    assert changed[:, :118].mean() > 0.9  # all but the frame of the view
    assert not changed[:, 122:].any()


def test_states_have_colours_of_their_own() -> None:
    states = np.array([list(TileState)], np.uint8)
    laid = veil(states, (20, 20 * len(TileState)))
    assert laid.shape == (20, 20 * len(TileState), 4)
    fields = np.split(laid, len(TileState), axis=1)
    for field, colour in zip(fields, VEILS, strict=True):
        assert (field == colour).all(-1).mean() > 0.5
    assert len({tuple(colour) for colour in VEILS[2:]}) == 3
    assert all(alpha for *_, alpha in VEILS[2:])


def test_states_are_told_without_their_colours() -> None:
    states = np.array([[TileState.GENERATED, TileState.EDITED, TileState.STALE]], np.uint8)
    drawn, edited, stale = np.split(veil(states, (20, 60))[..., 3] == 255, 3, axis=1)
    assert not drawn.any()
    assert edited.mean() == pytest.approx(0.2)
    assert stale.mean() == pytest.approx(0.36)


def test_without_a_slide_it_is_empty(minimap: Minimap, qtbot) -> None:
    went: list[tuple[int, int]] = []
    minimap.went.connect(lambda y, x: went.append((y, x)))
    minimap.set_session(None)
    qtbot.mouseClick(minimap, Qt.MouseButton.LeftButton, pos=QPoint(10, 10))
    qtbot.keyClick(minimap, Qt.Key.Key_Home)
    assert went == []
    assert len(np.unique(_pixels(minimap)[8:-8, 8:-8])) == 1
