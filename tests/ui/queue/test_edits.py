from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.ui.queue.edits import EditQueue, EditState, Place, QueuedEdit


def _edit(name: str, side: int = 16) -> QueuedEdit:
    region = Region(0, 0, 0, side, side)
    request = EditRequest(kind=EditKind.GENERATE, region=region)
    return QueuedEdit("Generate", request, Place("image", "Canvas", "", region), id=name)


def _queue(names: str) -> EditQueue:
    queue = EditQueue()
    for name in names:
        queue.add(_edit(name))
    return queue


def _order(queue: EditQueue) -> str:
    return "".join(edit.id for edit in queue.waiting)


def test_edits_wait_in_the_order_they_were_asked_for_until_somebody_changes_it() -> None:
    queue = _queue("abcd")
    assert _order(queue) == "abcd"
    queue.to_front("c")
    assert _order(queue) == "cabd"
    queue.move("c", 1)
    assert _order(queue) == "acbd"
    queue.move("d", -1)
    assert _order(queue) == "acdb"
    queue.move("a", -1)  # it is the first already
    queue.move("b", 9)
    assert _order(queue) == "acdb"
    queue.remove("c")
    assert _order(queue) == "adb"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["move", "front", "run", "fail", "retry", "remove"]),
            st.sampled_from("abcde"),
            st.integers(-4, 4),
        )
    )
)
def test_whatever_is_done_no_edit_is_lost_or_doubled(steps: list[tuple[str, str, int]]) -> None:
    queue, there = _queue("abcde"), set("abcde")
    for what, name, by in steps:
        if what == "move":
            queue.move(name, by)
        elif what == "front":
            queue.to_front(name)
        elif what == "run" and queue.running is None:
            queue.put(name, EditState.RUNNING)
        elif what == "fail":
            queue.put(name, EditState.FAILED, problem="why")
        elif what == "retry":
            queue.retry(name)
        elif what == "remove":
            queue.remove(name)
            there.discard(name)
    assert sorted(edit.id for edit in queue.edits) == sorted(there)


def test_a_retried_edit_is_the_next_one_and_keeps_its_request() -> None:
    queue = _queue("abc")
    request = queue.edits[2].request
    queue.put("c", EditState.FAILED, problem="no memory")
    assert queue.find("c").problem == "no memory"
    queue.retry("c")
    assert _order(queue) == "cab"
    assert queue.find("c").request is request
    assert queue.find("c").problem == ""
    queue.retry("a")  # which did not fail
    assert _order(queue) == "cab"


def test_too_many_edits_and_too_large_ones_are_refused() -> None:
    queue = EditQueue()
    for number in range(50):
        queue.add(_edit(str(number)))
    with pytest.raises(InvalidRequest, match="remove some"):
        queue.add(_edit("one more"))
    large = _edit("large", 4096)
    mask = np.broadcast_to(np.True_, (4096, 4096))
    image = np.broadcast_to(np.uint8(9), (4096, 4096, 3))
    request = replace(large.request, kind=EditKind.INPAINT, image=image, edit_mask=mask)
    assert request.nbytes == 4 * 4096**2
    queue = EditQueue()
    for number in range(16):
        queue.add(replace(large, request=request, id=str(number)))
    with pytest.raises(InvalidRequest, match="gigabyte"):
        queue.add(replace(large, request=request, id="one more"))


def test_drawn_edits_leave_the_list_when_there_are_many() -> None:
    queue = EditQueue()
    for number in range(25):
        queue.add(_edit(str(number)))
        queue.put(str(number), EditState.READY)
    assert [edit.id for edit in queue.ready] == [str(n) for n in range(5, 25)]


def test_a_place_follows_an_image_that_grew_and_got_a_finer_level() -> None:
    place = Place("slide", "slide", "", Region(1, 10, 20, 64, 64), origin=(-512, 0), mpp=0.5)
    same = SimpleNamespace(origin=(-512, 0), mpp=0.5)
    assert place.follow(place.frame, same) == place.frame
    grown = SimpleNamespace(origin=(-512 - 1024, -2048), mpp=0.5)
    assert place.follow(place.frame, grown) == Region(1, 10 + 512, 20 + 1024, 64, 64)
    refined = SimpleNamespace(origin=(-1024, 0), mpp=0.25)  # its levels are numbered anew
    assert place.follow(place.frame, refined) == Region(2, 10, 20, 64, 64)
