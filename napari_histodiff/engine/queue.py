"""The order of jobs, without threads: first in first out, one at a time, each ends once.

Those that nobody waits for stand behind all others.
"""

from __future__ import annotations

from collections import deque

from napari_histodiff.core.engine import Job

__all__ = ["JobQueue"]


class JobQueue:
    """Waiting jobs in order of arrival, those behind after all others, and at most one running.

    A job leaves exactly once: by `withdraw`, `finish` or `drain`. Whoever takes it out owes its
    one terminal event.
    """

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._behind: deque[Job] = deque()
        self._running: Job | None = None
        self._cancel_requested = False

    @property
    def running(self) -> Job | None:
        """The job in work."""
        return self._running

    @property
    def cancel_requested(self) -> bool:
        """Whether the running job was asked to stop."""
        return self._cancel_requested

    def add(self, job: Job) -> None:
        """Put a job at the end of the queue, or before those that are behind."""
        (self._behind if job.behind else self._waiting).append(job)

    def start_next(self) -> Job | None:
        """Make the first waiting job the running one; None when there is none or one runs."""
        waiting = self._waiting or self._behind
        if self._running is not None or not waiting:
            return None
        self._running = waiting.popleft()
        self._cancel_requested = False
        return self._running

    def withdraw(self, job_id: str) -> bool:
        """Take out a waiting job; False when it does not wait."""
        for waiting in (self._waiting, self._behind):
            for job in waiting:
                if job.id == job_id:
                    waiting.remove(job)
                    return True
        return False

    def request_cancel(self, job_id: str) -> bool:
        """Remember that the running job shall stop; True the first time it is asked."""
        if not self._is_running(job_id) or self._cancel_requested:
            return False
        self._cancel_requested = True
        return True

    def finish(self, job_id: str) -> bool:
        """Take out the running job; False for any other, so a late second ending is dropped."""
        if not self._is_running(job_id):
            return False
        self._running = None
        return True

    def drain(self) -> list[Job]:
        """Take out all waiting jobs, in their order."""
        jobs = [*self._waiting, *self._behind]
        self._waiting.clear()
        self._behind.clear()
        return jobs

    def _is_running(self, job_id: str) -> bool:
        return self._running is not None and self._running.id == job_id
