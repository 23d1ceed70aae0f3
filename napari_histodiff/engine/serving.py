"""The other side of a remote engine: a scheduler and one worker that keeps the model loaded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import dask
from distributed import Scheduler, Worker
from distributed.gc import disable_gc_diagnosis

from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.engine.address import EngineAddress
from napari_histodiff.engine.messages import Loaded
from napari_histodiff.engine.worker import HostPlugin

__all__ = ["listening", "serve"]

log = logging.getLogger(__name__)

_SETTINGS: Final = {
    # Each side remembers its last messages; a thousand previews would be gigabytes.
    "distributed.admin.low-level-log-length": 16,
    # Ports for HTTP are always opened; nothing is to be read there.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


async def serve(
    address: EngineAddress,
    factory: str,
    *,
    ready: Callable[[Loaded, int], object],
    stop: asyncio.Event | None = None,
) -> None:
    """Load the model and serve windows on other machines until `stop`, or for good.

    Jobs of several windows are drawn one after another.

    Parameters
    ----------
    address : EngineAddress
        What is listened on; port 0 is any free one.
    factory : str
        Import path of what makes the backend.
    ready : callable
        Told what was loaded, and the port, when windows may connect.
    stop : asyncio.Event, optional
        Ends it.

    Raises
    ------
    HistodiffError
        When the model cannot be loaded.
    EngineUnavailable
        When the port is taken, or the address is not of this machine.
    """
    plugin = HostPlugin("")
    loaded = await asyncio.to_thread(plugin.load_once, factory)
    if not isinstance(loaded, Loaded):
        log.debug("%s", loaded.problem.details)
        raise loaded.problem.error
    async with listening(address, plugin) as port:
        ready(loaded, port)
        await (stop or asyncio.Event()).wait()


@asynccontextmanager
async def listening(address: EngineAddress, plugin: HostPlugin) -> AsyncIterator[int]:
    """Listen on an address with one worker, and give the port; its model is loaded when asked for.

    Raises
    ------
    EngineUnavailable
        As `serve`.
    """
    security = address.security
    async with AsyncExitStack() as stack:
        stack.callback(plugin.end)  # last of all: windows hear of a lost engine, not of a cancel
        stack.enter_context(dask.config.set(_SETTINGS))
        try:
            scheduler = await stack.enter_async_context(
                Scheduler(
                    host=address.host,
                    port=address.port,
                    protocol=address.protocol,
                    security=security,
                    dashboard=False,
                    dashboard_address="127.0.0.1:0",  # any free port, not dask's 8787
                )
            )
            worker = await stack.enter_async_context(
                Worker(
                    scheduler.address,
                    nthreads=1,
                    security=security,
                    plugins=(plugin,),
                    memory_limit=0,
                    dashboard=False,
                )
            )
            # dask would wait half a minute for what is being drawn.
            stack.push_async_callback(worker.close, executor_wait=False)
        except OSError as error:
            raise EngineUnavailable(
                f"expected to listen on {address}, got {error.strerror or error}; choose another "
                "port, or an address of this machine"
            ) from error
        disable_gc_diagnosis()
        yield int(scheduler.port)
