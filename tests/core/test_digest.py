from __future__ import annotations

import numpy as np

from napari_histodiff.core.digest import digest_of


def test_what_is_equal_has_one_name_and_what_differs_another() -> None:
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    contents: list[tuple[object, ...]] = [
        (),
        (None,),
        (b"",),
        (b"ab", b"c"),
        (b"a", b"bc"),
        ("ab", 1.5),
        (array,),
        (array.T,),
        (array.astype(np.int64),),
        (array.reshape(4, 3),),
        (array, array),
        (array.tobytes(),),
    ]
    names = [digest_of(*parts) for parts in contents]
    assert len(set(names)) == len(contents)
    assert {len(name) for name in names} == {16}
    assert digest_of(array.T, b"x") == digest_of(np.array(array.T, order="C"), b"x")
