"""What every engine and every backend must do; subclass and fill in the `make` methods."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.backend import Backend, BackendFactory, Step
from napari_histodiff.core.engine import (
    Engine,
    EngineEvent,
    EngineState,
    Job,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobPreview,
    JobProgress,
    JobStarted,
)
from napari_histodiff.core.errors import (
    Cancelled,
    EngineUnavailable,
    HistodiffError,
    ModelInvalid,
    ModelNotFound,
    OutOfMemory,
)
from napari_histodiff.core.requests import EditKind, EditRequest
from tests.fakes import FAKE_INFO, FakeBackend, FakeFactory
from tests.recording import TERMINAL, Recorder, edit_request
from tests.variant_contract import VariantContract

__all__ = ["BackendContract", "EngineContract"]


class EngineContract(ABC):
    """Every engine: one end per job, in order, cancel, failures, states, close."""

    engines: list[Engine]
    #: What the engine says of the fake backend.
    told = FAKE_INFO

    @abstractmethod
    def make(self, factory: BackendFactory | str) -> Engine:
        """Return an engine that was not started."""

    @pytest.fixture(autouse=True)
    def _close_engines(self) -> Iterator[None]:
        self.engines = []
        yield
        for engine in self.engines:
            engine.close()

    def engine(self, factory: BackendFactory | str | None = None) -> tuple[Engine, Recorder]:
        engine = self.make(factory or FakeFactory())
        self.engines.append(engine)
        return engine, Recorder(engine)

    def test_is_an_engine(self) -> None:
        engine, _ = self.engine()
        assert isinstance(engine, Engine)
        assert engine.state is EngineState.CLOSED
        assert engine.info is None

    def test_runs_jobs_in_order_and_tells_states_steps_and_pixels(self) -> None:
        engine, record = self.engine()
        requests = [edit_request(seed=seed, variants=2) for seed in range(3)]
        jobs = [engine.submit(request) for request in requests]
        ends = record.ends(*jobs)
        record.wait(lambda: engine.state is EngineState.READY)

        for request, end in zip(requests, ends, strict=True):
            assert isinstance(end, JobFinished)
            np.testing.assert_array_equal(end.images, FakeBackend().render([request])[0])
            assert end.seconds >= 0
        for job in jobs:
            own = record.of(job, JobStarted, JobProgress, *TERMINAL)
            assert [type(e) for e in own] == [JobStarted, *[JobProgress] * 6, JobFinished]
            assert [(e.done, e.total) for e in own[1:-1]] == [(n, 6) for n in range(1, 7)]
        order = [e.job for e in record.events if isinstance(e, JobStarted | JobFinished)]
        assert order == [job.id for job in jobs for _ in range(2)]
        states = [e.state for e in record.states()]
        assert states[:4] == [
            EngineState.STARTING,
            EngineState.LOADING,
            EngineState.READY,
            EngineState.BUSY,
        ]
        assert states.count(EngineState.BUSY) == 3
        ready = record.wait_state(EngineState.READY)
        assert ready.info == engine.info == self.told
        assert ready.memory > 0

    def test_start_twice_starts_once(self) -> None:
        engine, record = self.engine()
        engine.start()
        engine.start()
        record.wait_state(EngineState.READY)
        engine.start()
        record.end(engine.submit(edit_request()))
        assert [e.state for e in record.states()].count(EngineState.STARTING) == 1

    def test_restart_cancels_the_running_job_and_loads_afresh(self) -> None:
        engine, record = self.engine(FakeFactory(delay=0.02))
        running = engine.submit(edit_request(steps=100, variants=10))
        waiting = engine.submit(edit_request(steps=2))
        record.wait_started(running)
        engine.restart()
        assert isinstance(record.end(running), JobCancelled)
        assert isinstance(record.end(waiting), JobFinished)
        assert [e.state for e in record.states()].count(EngineState.STARTING) == 2

    def test_previews_are_computed_only_when_sent_and_not_each_step(self) -> None:
        engine, record = self.engine(FakeFactory(steps=100, delay=0.005))
        job = engine.submit(edit_request())
        end = record.end(job)
        assert isinstance(end, JobFinished)
        previews = record.of(job, JobPreview)
        # The fake paints the number of previews it has computed.
        assert [int(p.image[0, 0, 0]) for p in previews] == [n + 1 for n in range(len(previews))]
        assert 1 <= len(previews) <= 1 + 4 * end.seconds
        assert len(record.of(job, JobProgress)) == 100

    def test_cancel_of_a_running_job_ends_it_within_its_steps(self) -> None:
        engine, record = self.engine(FakeFactory(delay=0.02))
        job = engine.submit(edit_request(steps=100, variants=10))
        record.wait_started(job)
        engine.cancel(job)
        engine.cancel(job)
        assert isinstance(record.end(job), JobCancelled)
        # A thousand steps would take 20 s; the message itself may cost a few of them.
        assert len(record.of(job, JobProgress)) < 100
        assert isinstance(record.end(engine.submit(edit_request())), JobFinished)

    def test_a_waiting_job_is_dropped_without_the_backend(self) -> None:
        engine, record = self.engine(FakeFactory(delay=0.05))
        first, second, third = (engine.submit(edit_request(seed=s)) for s in range(3))
        engine.cancel(second)
        kinds = [type(end) for end in record.ends(first, second, third)]
        assert kinds == [JobFinished, JobCancelled, JobFinished]
        assert record.of(second, JobStarted, JobProgress) == []

    def test_cancel_of_an_ended_job_does_nothing(self) -> None:
        engine, record = self.engine()
        first = engine.submit(edit_request())
        record.end(first)
        engine.cancel(first)
        assert isinstance(record.end(engine.submit(edit_request())), JobFinished)
        assert len(record.of(first, *TERMINAL)) == 1

    def test_a_failing_job_fails_alone(self) -> None:
        engine, record = self.engine()
        for fault, kind, words in (
            ("oom", OutOfMemory, "expected 2 GiB of memory, got 1; use"),
            ("memory", OutOfMemory, "8 GiB"),
            ("value", HistodiffError, "ValueError: the moon is full;"),
            ("unpicklable", HistodiffError, "no copies;"),
            ("shape", ModelInvalid, "uint8 from the backend"),
        ):
            end = record.end(engine.submit(edit_request(caption=f"fault {fault}")))
            assert isinstance(end, JobFailed), fault
            assert type(end.error) is kind, fault
            assert words in str(end.error)
            assert "Traceback" in end.details
            record.wait(lambda: engine.state is EngineState.READY)
            assert isinstance(record.end(engine.submit(edit_request())), JobFinished), fault
        assert [e.state for e in record.states()].count(EngineState.STARTING) == 1

    @pytest.mark.parametrize(
        ("load_error", "kind", "words"),
        [
            pytest.param("family", ModelNotFound, "run histodiff fetch", id="family"),
            pytest.param("foreign", HistodiffError, "flux_capacitor", id="foreign"),
        ],
    )
    def test_a_model_that_fails_to_load_fails_its_jobs_until_start_is_called_again(
        self, tmp_path: Any, load_error: Any, kind: type[HistodiffError], words: str
    ) -> None:
        repaired = tmp_path / "repaired"
        engine, record = self.engine(
            FakeFactory(load_error=load_error, repaired_by=str(repaired), load_seconds=0.1)
        )
        jobs = [engine.submit(edit_request()) for _ in range(2)]
        ends = record.ends(*jobs)
        late = record.end(engine.submit(edit_request()))
        for end in (*ends, late):
            assert isinstance(end, JobFailed)
            assert type(end.error) is kind
            assert words in str(end.error)
        dead = record.wait_state(EngineState.DEAD)
        assert words in dead.message
        assert engine.state is EngineState.DEAD
        repaired.touch()
        engine.start()
        assert isinstance(record.end(engine.submit(edit_request())), JobFinished)

    def test_an_import_path_that_names_nothing_is_refused_with_advice(self) -> None:
        engine, record = self.engine("tests.fakes:no_such_thing")
        end = record.end(engine.submit(edit_request()))
        assert isinstance(end, JobFailed)
        assert isinstance(end.error, EngineUnavailable)
        assert "no_such_thing" in str(end.error)

    def test_close_cancels_everything_and_refuses_more(self) -> None:
        engine, record = self.engine(FakeFactory(steps=1000, delay=0.02))
        jobs = [engine.submit(edit_request()) for _ in range(3)]
        record.wait_started(jobs[0])
        engine.close()
        assert engine.state is EngineState.CLOSED
        for job in jobs:
            assert [type(e) for e in record.of(job, *TERMINAL)] == [JobCancelled]
        assert record.states()[-1].state is EngineState.CLOSED
        engine.close()
        engine.cancel(jobs[0])
        with pytest.raises(EngineUnavailable, match="got a closed one; make a new engine"):
            engine.submit(edit_request())
        with pytest.raises(EngineUnavailable):
            engine.start()

    def test_close_while_starting(self) -> None:
        engine, record = self.engine()
        job = engine.submit(edit_request())
        engine.close()
        assert [type(e) for e in record.of(job, *TERMINAL)] == [JobCancelled]

    def test_a_listener_may_close_the_engine(self) -> None:
        engine, record = self.engine(FakeFactory(steps=1000, delay=0.01))
        record.react(lambda e: engine.close() if isinstance(e, JobProgress) else None)
        job = engine.submit(edit_request())
        assert isinstance(record.end(job), JobCancelled)
        record.wait_state(EngineState.CLOSED)

    def test_a_failing_listener_harms_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        engine = self.make(FakeFactory())
        self.engines.append(engine)

        def broken(event: EngineEvent) -> None:
            raise RuntimeError(f"cannot show {event}")

        stop = engine.subscribe(broken)
        record = Recorder(engine)
        assert isinstance(record.end(engine.submit(edit_request())), JobFinished)
        stop()
        stop()
        assert "a listener failed on JobFinished" in caplog.text

    def test_racing_submits_cancels_and_a_close_end_each_job_once(self) -> None:
        engine, record = self.engine(FakeFactory(steps=3, delay=0.001, fault="value"))
        accepted: list[Job] = []

        def user(seed: int) -> None:
            rng = np.random.default_rng(seed)
            for _ in range(30):
                try:
                    job = engine.submit(edit_request(caption=str(rng.choice(["", "fault"]))))
                except EngineUnavailable:
                    return
                accepted.append(job)
                if rng.random() < 0.5:
                    engine.cancel(accepted[rng.integers(len(accepted))])

        users = [threading.Thread(target=user, args=(seed,)) for seed in range(4)]
        for thread in users:
            thread.start()
        record.wait(lambda: sum(isinstance(e, TERMINAL) for e in record.events) >= 5)
        engine.close()
        for thread in users:
            thread.join()
        ended = [event.job for event in record.events if isinstance(event, TERMINAL)]
        assert sorted(ended) == sorted(job.id for job in accepted)


class BackendContract(VariantContract, ABC):
    """Every backend: shapes, known pixels, seeds, steps, cancel."""

    #: Height and width of the frames drawn; keep small.
    size: ClassVar[tuple[int, int]] = (32, 48)

    @abstractmethod
    def make(self) -> Backend:
        """Return a backend; called once per test."""

    def draw(self, request: EditRequest) -> NDArray[np.uint8]:
        (images,) = self.make().render([request])
        return images

    def request(self, kind: EditKind = EditKind.GENERATE, **changes: Any) -> EditRequest:
        return edit_request(kind, self.size, **changes)

    def test_is_a_backend_that_says_what_it_is(self) -> None:
        backend = self.make()
        assert isinstance(backend, Backend)
        info = backend.info
        assert info.name
        assert 0 < info.mpp[0] <= info.mpp[1]
        assert info.tissue_names[0] == "unspecified"
        assert info.window % info.multiple_of == 0

    @pytest.mark.parametrize("kind", EditKind)
    def test_images_have_the_frame_shape_and_dtype(self, kind: EditKind) -> None:
        images = self.draw(self.request(kind, variants=2))
        assert images.shape == (2, *self.size, 3)
        assert images.dtype == np.uint8

    def test_any_size_even_below_the_multiple(self) -> None:
        images = self.draw(edit_request(size=(19, 33)))
        assert images.shape == (1, 19, 33, 3)

    @pytest.mark.parametrize("kind", [EditKind.INPAINT, EditKind.OUTPAINT])
    def test_known_pixels_come_back_byte_identical_and_the_others_change(
        self, kind: EditKind
    ) -> None:
        request = self.request(kind, variants=2)
        assert request.edit_mask is not None
        assert request.image is not None
        for image in self.draw(request):
            np.testing.assert_array_equal(
                image[~request.edit_mask], request.image[~request.edit_mask]
            )
            assert not np.array_equal(image[request.edit_mask], request.image[request.edit_mask])

    def test_same_seed_same_bytes_another_seed_other_bytes(self) -> None:
        request = self.request(seed=1)
        first = self.draw(request)
        np.testing.assert_array_equal(first, self.draw(request))
        assert not np.array_equal(first, self.draw(self.request(seed=2)))

    def test_variants_differ_and_the_first_does_not_depend_on_their_number(self) -> None:
        both = self.draw(self.request(variants=2))
        assert not np.array_equal(both[0], both[1])
        np.testing.assert_array_equal(both[:1], self.draw(self.request(variants=1)))

    def test_several_requests_equal_each_alone(self) -> None:
        requests = [self.request(seed=1), edit_request(size=(16, 16), seed=2)]
        together = self.make().render(requests)
        assert len(together) == 2
        for image, request in zip(together, requests, strict=True):
            np.testing.assert_array_equal(image, self.draw(request))

    @pytest.mark.parametrize("kind", EditKind)
    def test_steps_count_up_to_the_promised_evaluations(self, kind: EditKind) -> None:
        backend = self.make()
        request = self.request(kind, variants=2)
        seen: list[tuple[int, int]] = []
        backend.render([request], on_step=lambda step: seen.append((step.done, step.total)))
        total = backend.evaluations(request)
        assert seen == [(done, total) for done in range(1, total + 1)]

    def test_a_preview_is_an_image_of_the_frame(self) -> None:
        previews: list[NDArray[np.uint8]] = []
        self.make().render([self.request()], on_step=lambda step: previews.append(step.preview()))
        assert {(p.shape, p.dtype) for p in previews} == {((*self.size, 3), np.dtype(np.uint8))}

    def test_looking_at_previews_changes_nothing(self) -> None:
        request = self.request()
        (watched,) = self.make().render([request], on_step=lambda step: step.preview())
        np.testing.assert_array_equal(watched, self.draw(request))

    def test_a_cancel_from_a_step_stops_there_and_the_next_request_is_unharmed(self) -> None:
        backend = self.make()
        calls: list[Step] = []

        def stop(step: Step) -> None:
            calls.append(step)
            raise Cancelled("expected no cancel, got one; submit again")

        request = self.request()
        with pytest.raises(Cancelled):
            backend.render([request], on_step=stop)
        assert len(calls) == 1
        np.testing.assert_array_equal(backend.render([request])[0], self.draw(request))

    def test_a_request_is_not_changed(self) -> None:
        request = self.request(EditKind.INPAINT)
        before = request.to_dict()
        self.draw(request)
        assert request.to_dict() == before
