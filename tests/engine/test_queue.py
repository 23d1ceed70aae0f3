from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from napari_histodiff.core.engine import Job
from napari_histodiff.engine.queue import JobQueue
from tests.recording import edit_request

REQUEST = edit_request()


class QueueMachine(RuleBasedStateMachine):
    """Compares the queue with a list, whatever the order of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = JobQueue()
        self.waiting: list[str] = []
        self.behind: set[str] = set()
        self.running: str | None = None
        self.cancelled = False
        self.all: list[str] = []
        self.left: Counter[str] = Counter()

    @rule(behind=st.booleans())
    def add(self, behind: bool) -> None:
        job = Job(f"job{len(self.all)}", REQUEST, behind)
        self.all.append(job.id)
        if behind:
            self.waiting.append(job.id)
        else:  # before all that nobody waits for
            self.waiting.insert(sum(one not in self.behind for one in self.waiting), job.id)
        self.behind |= {job.id} if behind else set()
        self.queue.add(job)

    @rule()
    def start_next(self) -> None:
        job = self.queue.start_next()
        if self.running is None and self.waiting:
            assert job is not None
            assert job.id == self.waiting[0]
            self.running, self.cancelled = self.waiting.pop(0), False
        else:
            assert job is None

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.all))
        waits = job in self.waiting
        assert self.queue.withdraw(job) == waits
        if waits:
            self.waiting.remove(job)
            self.left[job] += 1

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def request_cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.all))
        first = job == self.running and not self.cancelled
        assert self.queue.request_cancel(job) == first
        self.cancelled = self.cancelled or first

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.all))
        runs = job == self.running
        assert self.queue.finish(job) == runs
        if runs:
            self.running = None
            self.left[job] += 1

    @rule()
    def drain(self) -> None:
        assert [job.id for job in self.queue.drain()] == self.waiting
        self.left.update(self.waiting)
        self.waiting = []

    @invariant()
    def agrees(self) -> None:
        running = self.queue.running
        assert (running.id if running else None) == self.running
        assert not self.running or self.queue.cancel_requested == self.cancelled
        held = Counter([*self.waiting, *([self.running] if self.running else [])])
        assert self.left + held == Counter(self.all)


TestJobQueue = QueueMachine.TestCase
