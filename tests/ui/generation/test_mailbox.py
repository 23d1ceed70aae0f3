from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.engine import JobCancelled, JobPreview, JobProgress, JobStarted
from napari_histodiff.ui.generation.engines import Mailbox


def _preview(job: str) -> JobPreview:
    return JobPreview(job, np.zeros((1, 1, 3), np.uint8))


class Clock:
    """Seconds; call it to read them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


_EVENTS = st.lists(
    st.sampled_from(
        [JobStarted("a"), JobProgress("a", 1, 9), JobProgress("a", 2, 9), JobCancelled("a")]
    )
)


@given(_EVENTS)
def test_only_the_newest_progress_is_left_none_after_the_end_and_nothing_else_is_lost(
    events: list,
) -> None:
    box = Mailbox()
    for event in events:
        box.put(event)
    drained = box.drain()
    assert [e for e in drained if not isinstance(e, JobProgress)] == [
        e for e in events if not isinstance(e, JobProgress)
    ]
    ends = [index for index, e in enumerate(events) if isinstance(e, JobCancelled)]
    running = events[ends[-1] + 1 :] if ends else events
    steps = [e for e in running if isinstance(e, JobProgress)]
    assert [e for e in drained if isinstance(e, JobProgress)] == steps[-1:]
    assert box.drain() == []


def test_previews_and_progress_come_together_and_do_not_displace_each_other() -> None:
    box = Mailbox()
    first, last = _preview("a"), _preview("a")
    for event in (JobProgress("a", 1, 2), first, last):
        box.put(event)
    assert box.drain() == [JobProgress("a", 1, 2), last]


def test_steps_wait_for_their_turn_and_nothing_else_does() -> None:
    clock = Clock()
    box = Mailbox(clock)
    box.put(JobProgress("a", 1, 9))
    assert box.drain() == [JobProgress("a", 1, 9)]
    for done in (2, 3):
        box.put(JobProgress("a", done, 9))
    box.put(JobStarted("b"))
    assert box.drain() == [JobStarted("b")]
    clock.now = 0.3
    assert box.drain() == [JobProgress("a", 3, 9)]
    box.put(JobProgress("a", 4, 9))
    box.drain()
    box.put(JobCancelled("a"))
    assert box.drain() == [JobCancelled("a")]
    clock.now = 9.0
    assert box.drain() == []


def test_events_of_many_threads_all_arrive() -> None:
    box = Mailbox()

    def put(name: int) -> None:
        for index in range(200):
            box.put(JobStarted(f"{name}.{index}"))

    threads = [threading.Thread(target=put, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    arrived = []
    while any(thread.is_alive() for thread in threads):
        arrived += box.drain()
    arrived += box.drain()
    assert len({event.job for event in arrived}) == 800
