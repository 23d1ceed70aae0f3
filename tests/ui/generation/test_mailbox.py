from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.engine import JobCancelled, JobPreview, JobProgress, JobStarted
from napari_histodiff.ui.generation.engines import Mailbox


def _preview(job: str) -> JobPreview:
    return JobPreview(job, np.zeros((1, 1, 3), np.uint8))


_EVENTS = st.lists(
    st.sampled_from("ab").flatmap(
        lambda job: st.sampled_from(
            [JobStarted(job), JobProgress(job, 1, 9), JobProgress(job, 2, 9), JobCancelled(job)]
        )
    )
)


@given(_EVENTS)
def test_only_the_newest_progress_of_a_job_is_left_and_nothing_else_is_lost(events: list) -> None:
    box = Mailbox()
    for event in events:
        box.put(event)
    drained = box.drain()

    def others(items: list) -> list:
        return [e for e in items if not isinstance(e, JobProgress)]

    assert others(drained) == others(events)
    for job in "ab":
        sent = [e for e in events if isinstance(e, JobProgress) and e.job == job]
        assert [e for e in drained if isinstance(e, JobProgress) and e.job == job] == sent[-1:]
    assert box.drain() == []


def test_previews_and_progress_do_not_displace_each_other() -> None:
    box = Mailbox()
    first, last = _preview("a"), _preview("a")
    for event in (first, JobProgress("a", 1, 2), last):
        box.put(event)
    assert box.drain() == [JobProgress("a", 1, 2), last]


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
