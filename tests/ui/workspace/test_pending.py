from __future__ import annotations

import threading
import time

import pytest

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.pending import (
    PendingOperations,
    PendingStep,
    StepReader,
    StepWorker,
)

HERE = Region(0, 1, 2, 3, 4)


@pytest.fixture
def worker():
    worker = StepWorker()
    yield worker
    worker.close(lambda: None)


def deliver(worker):
    end = time.monotonic() + 60
    while worker.busy:
        assert time.monotonic() < end, "waited in vain"
        worker.deliver()
        time.sleep(0.002)


def fail():
    raise StorageError("expected room on the disk, got none; free some")


def test_who_comes_late_hears_at_once():
    heard = []
    step = PendingStep()
    step.then(heard.append)
    assert heard == []
    step.end(HERE)
    step.then(heard.append)
    assert heard == [step, step]
    assert (step.region, step.error) == (HERE, None)


def test_what_is_done_is_said_until_the_last_step_is_over():
    doing, said = PendingOperations(), []
    doing.changed.connect(said.append)
    doing.follow("Nothing", PendingStep.carried_out(None))
    first, second = PendingStep(), PendingStep()
    doing.follow("Writing", first)
    doing.follow("Taking back", second)
    first.end()
    second.end()
    assert said == ["Writing", "Writing", "Taking back", ""]


def test_steps_are_done_in_order_elsewhere_and_end_here(worker):
    done, ended = [], []

    def work(number):
        done.append((number, threading.current_thread() is threading.main_thread()))
        return HERE.translate(number, 0)

    for number in range(5):
        step = worker.submit(lambda number=number: work(number))
        step.then(lambda s: ended.append((s.region.y, threading.current_thread())))
    assert ended == []
    deliver(worker)
    assert done == [(number, False) for number in range(5)]
    assert ended == [(number + 1, threading.main_thread()) for number in range(5)]


def test_it_is_busy_from_before_the_first_step_until_after_the_last(worker):
    told = []
    gate = threading.Event()
    worker.busy_changed.connect(lambda busy: told.append((busy, worker.busy)))
    worker.carried_out.connect(lambda: told.append("carried out"))
    worker.submit(lambda: gate.wait() and None).then(lambda _: told.append("over"))
    worker.submit(lambda: HERE)
    assert told == [(True, False)]
    assert not worker.has_news
    gate.set()
    deliver(worker)
    assert told == [(True, False), "carried out", "over", (False, False), "carried out"]


def test_what_was_asked_for_after_a_failure_is_left_undone(worker):
    done = []
    gate = threading.Event()

    def fail_late():
        gate.wait()
        fail()

    steps = [worker.submit(work) for work in (fail_late, lambda: done.append(1))]
    gate.set()
    deliver(worker)
    assert isinstance(steps[0].error, StorageError)
    assert (steps[1].is_over, steps[1].region, steps[1].error) == (True, None, None)
    assert done == []
    again = worker.submit(lambda: HERE)  # the failure was told: a fresh start
    deliver(worker)
    assert again.region == HERE


def test_an_error_nobody_foresaw_is_told_as_one_with_a_next_step(worker, caplog):
    step = worker.submit(lambda: [][1])
    refused = worker.submit(lambda: None)
    deliver(worker)
    assert isinstance(step.error, StorageError)
    assert "IndexError" in str(step.error)
    assert "try again" in str(step.error)
    assert "IndexError" in caplog.text
    assert refused.error is None


def test_errors_of_the_family_stay_what_they_are(worker):
    def refuse():
        raise InvalidRequest("expected a mask within the slide, got none; paint one")

    step = worker.submit(refuse)
    deliver(worker)
    assert type(step.error) is InvalidRequest


def test_closing_comes_after_all_that_was_asked_for():
    worker, order = StepWorker(), []
    gate = threading.Event()
    step = worker.submit(lambda: gate.wait() and order.append("step"))
    threading.Timer(0.05, gate.set).start()
    assert worker.finish(60)
    worker.close(lambda: order.append("last"))
    assert order == ["step", "last"]
    assert step.is_over
    assert step.error is None


def test_a_step_that_takes_too_long_goes_on_and_says_so():
    worker, order = StepWorker(), []
    gate, closed = threading.Event(), threading.Event()
    step = worker.submit(lambda: gate.wait() and order.append("step"))
    assert not worker.finish(0.01)
    worker.close(lambda: (order.append("last"), closed.set()))
    assert not order
    assert "background" in str(step.error)
    assert not worker.busy
    gate.set()
    assert closed.wait(60)
    assert order == ["step", "last"]


def read_all(reader, step):
    end = time.monotonic() + 60
    while not step.is_over:
        assert time.monotonic() < end, "waited in vain"
        reader.deliver()
        time.sleep(0.002)


def test_what_was_read_in_a_thread_is_put_in_this_one():
    reader, threads, put = StepReader(), [], []

    def read():
        threads.append(threading.current_thread())
        return 7

    def take(number):
        threads.append(threading.current_thread())
        put.append(number)
        return HERE

    step = reader.begin(read, take)
    with pytest.raises(InvalidRequest, match="cancel"):
        reader.begin(read, take)
    read_all(reader, step)
    assert (put, step.region) == ([7], HERE)
    assert threads[0] is not threads[1] is threading.current_thread()
    assert threads[0].daemon  # the end of the process waits for no dead share


def test_a_cancelled_reading_is_dropped_and_the_next_begins_at_once():
    reader, put, go = StepReader(), [], threading.Event()
    step = reader.begin(lambda: go.wait(60), put.append)
    reader.cancel(error := InvalidRequest("expected"))
    assert step.error is error
    read_all(reader, reader.begin(lambda: 2, put.append))
    go.set()
    reader.deliver()
    reader.cancel()
    assert put == [2]


@pytest.mark.parametrize("is_read", [False, True])
def test_a_reading_that_fails_unforeseen_is_over_and_says_so(is_read):
    reader = StepReader()
    step = reader.begin(lambda: 0 if is_read else 1 // 0, lambda number: 1 // number)
    read_all(reader, step)
    assert "ZeroDivisionError" in str(step.error)
    assert "read the log" in str(step.error)
