"""What every backend does with variants; a part of `tests.contracts.BackendContract`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import Backend
from napari_histodiff.core.requests import EditKind, EditRequest

__all__ = ["VariantContract"]


class VariantContract(ABC):
    """Variants alone and among others, with maps of their own or not."""

    size: ClassVar[tuple[int, int]]

    @abstractmethod
    def make(self) -> Backend:
        """Return a backend."""

    @abstractmethod
    def request(self, kind: EditKind = EditKind.GENERATE, **changes: Any) -> EditRequest:
        """Return a small request."""

    @abstractmethod
    def draw(self, request: EditRequest) -> NDArray[np.uint8]:
        """Draw it with a new backend."""

    def test_each_variant_alone_is_what_it_is_among_others(self) -> None:
        classes = np.zeros((2, *self.size), np.uint8)
        classes[0, 2:8, 2:8], classes[1, 6:12, 4:9] = 2, 2
        own = ((classes[1], None, None),)
        for structures in ((), own):
            both = self.request(variants=2, class_map=classes[0], structures=structures)
            images = self.draw(both)
            assert len(images) == 2
            for number in range(2):
                np.testing.assert_array_equal(images[number], self.draw(both.alone(number))[0])
            assert both.alone(1).first_variant == 1

    def test_steps_of_variants_with_maps_of_their_own_are_one_count(self) -> None:
        backend, blank = self.make(), (None, None, None)
        request = self.request(variants=3, structures=(blank, blank))
        seen: list[tuple[int, int]] = []
        backend.render([request], on_step=lambda step: seen.append((step.done, step.total)))
        total = backend.evaluations(request)
        assert seen == [(done, total) for done in range(1, total + 1)]
