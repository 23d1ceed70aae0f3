"""An engine on another machine: the same jobs and steps, over one encrypted connection."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import traceback
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from distributed import Client
from distributed.gc import disable_gc_diagnosis

from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.engine import worker
from napari_histodiff.engine.connection import Connection
from napari_histodiff.engine.local import DaskRunner
from napari_histodiff.engine.messages import (
    Died,
    Loaded,
    LoadFailed,
    Loading,
    Problem,
    Report,
)
from napari_histodiff.engine.serial import SerialEngine

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendFactory
    from napari_histodiff.engine.address import EngineAddress

__all__ = ["RemoteEngine"]

#: Seconds in which another machine answers, or does not; and between two looks whether it is there.
_CONNECT_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 1.0

#: Seconds that a window which closes gives the other side to hear that it does.
_FAREWELL_SECONDS: Final = 3.0


class RemoteEngine(SerialEngine):
    """Runs jobs on the machine where `histodiff serve` runs, or on a worker of a dask scheduler.

    Both sides show each other the same certificate. The model is the one that is served. When the
    connection is lost, the running job fails and the engine connects again; when that fails it is
    dead until `restart`.

    Parameters
    ----------
    address : EngineAddress
        Where it is.
    factory : str or callable
        Import path of what makes the backend, or what does, where none is loaded there yet.
    """

    def __init__(self, address: EngineAddress, factory: BackendFactory | str) -> None:
        def connect(report: Report) -> Connection:
            return RemoteConnection(report, address, factory)

        super().__init__(DaskRunner(connect))
        self.address = address


class RemoteConnection(Connection):
    """The connection to one worker of one scheduler; only the scheduler's port is needed."""

    def __init__(
        self, report: Report, address: EngineAddress, factory: BackendFactory | str
    ) -> None:
        super().__init__(report)
        self._address = address
        self._factory = factory
        self._is_lost = False

    def close(self) -> None:
        """Let go of the worker, which drops our job and goes on for others; idempotent."""
        job = self._rendering
        if job is not None and not self._is_lost:
            loop: Any = self._connected().loop
            told = asyncio.run_coroutine_threadsafe(self._cancel(job), loop.asyncio_loop)
            with contextlib.suppress(TimeoutError):
                told.result(_FAREWELL_SECONDS)
        self._is_lost = True
        super().close()

    def open(self) -> None:
        """Connect to the scheduler and greet its worker; `Loading` and `Loaded` follow."""
        failure = ""
        try:
            self._client = self._stack.enter_context(
                Client(
                    self._address.url,
                    security=self._address.security,
                    timeout=_CONNECT_SECONDS,
                    set_as_default=False,
                    direct_to_workers=False,  # workers have other ports, which may be closed
                )
            )
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            failure = f"{type(error).__name__}: {error}"
        if failure:
            gc.collect()  # as in `rendering.cluster`: a client that never connected holds a lock
            self._refuse(
                f"expected an engine at {self._address}, got no answer ({failure}); see that "
                "`histodiff serve` runs there, that the address and the port are right and open, "
                "and that both machines have the same certificate"
            )
            return
        disable_gc_diagnosis()
        client = self._connected()
        client.subscribe_topic(self._topic, self._receive)
        workers = list(client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            self._refuse(
                f"expected a worker at {self._address}, got a scheduler without any; start "
                "`histodiff serve`, or a dask worker, there"
            )
            return
        self._worker = workers[0]
        self._report(Loading())
        self._spawn(self._greet())
        self._spawn(self._watch())

    def _refuse(self, message: str, details: str = "") -> None:
        self._report(LoadFailed(Problem.of(EngineUnavailable(message), details)))

    def _receive(self, event: tuple[float, dict[str, Any]]) -> None:
        self._report(worker.decode_step(event[1]))

    async def _greet(self) -> None:
        ours = version("napari-histodiff")
        try:
            greeting = await self._submit(worker.greet, self._factory)
        except Exception as error:  # noqa: BLE001 - whatever dask or pickle raise
            if not await self._worker_ends():
                self._refuse(
                    f"expected napari-histodiff {ours} at {self._address}, got "
                    f"{type(error).__name__}: {error}; install the same release there",
                    traceback.format_exc(),
                )
            return
        if greeting.version != ours:
            self._refuse(
                f"expected napari-histodiff {ours} at {self._address}, got {greeting.version}; "
                "install the same release on both machines"
            )
        else:
            answer: Loaded | LoadFailed = greeting.answer
            if isinstance(answer, Loaded):  # the window says where it draws
                device = f"{answer.info.device} on {self._address.host}"
                answer = replace(answer, info=replace(answer.info, device=device))
            self._report(answer)

    async def _watch(self) -> None:
        """Look now and then whether the other side is there, also when nothing is drawn."""
        while not self._is_lost:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._worker_ends()

    async def _worker_ends(self) -> bool:
        if not self._is_lost and not await self._answers():
            self._is_lost = True
            message = (
                f"expected the engine at {self._address} to go on, got a connection that was lost; "
                "it is tried once more now: draw again when it is ready, or see that `histodiff "
                "serve` runs there and press Restart"
            )
            self._report(Died(Problem.of(EngineUnavailable(message))))
        return self._is_lost

    async def _answers(self) -> bool:
        client: Any = self._connected()
        if client.status != "running":
            return False
        try:
            cores = await asyncio.wait_for(client.scheduler.ncores(), _CONNECT_SECONDS)
        except Exception:  # noqa: BLE001 - however a connection ends
            return False
        return self._worker in cores
