from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.slide.reader import SlideReader
from napari_histodiff.slide.store import SlideStore
from tests.slide.fake_store import FakeStore
from tests.slide.reader_contract import Draw, SlideReaderContract
from tests.slide.slides import PlainLayout


class TestStore(SlideReaderContract):
    def make(self, folder: Path, recipe: SlideRecipe) -> tuple[SlideReader, Draw]:
        store = SlideStore.create(folder / "slide.ome.zarr", recipe, layout=PlainLayout)
        return store, store.put_generated


class TestReadOnlyStore(SlideReaderContract):
    """A slide that another store, as another program would, is writing to."""

    def make(self, folder: Path, recipe: SlideRecipe) -> tuple[SlideReader, Draw]:
        writer = SlideStore.create(folder / "slide.ome.zarr", recipe, layout=PlainLayout)
        reader = SlideStore.open(writer.path, read_only=True, layout=PlainLayout)

        def draw(tile: TileAddress, pixels: NDArray[np.uint8]) -> None:
            writer.put_generated(tile, pixels)
            reader.refresh()

        return reader, draw

    def test_it_says_so(self) -> None:
        assert self.reader.read_only


class TestFake(SlideReaderContract):
    """The fake answers as the store does, so that tests on it hold for the store."""

    def make(self, folder: Path, recipe: SlideRecipe) -> tuple[SlideReader, Draw]:
        store = FakeStore(recipe, layout=PlainLayout(recipe, None))
        return store, store.put_generated


def test_a_class_that_can_not_tell_its_states_is_no_reader() -> None:
    class Half:
        path, recipe, spec, read_only = Path(), None, None, True

        def read(self) -> None: ...

        def subscribe(self) -> None: ...

    assert not isinstance(Half(), SlideReader)
