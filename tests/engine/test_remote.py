"""An engine over an encrypted connection of this machine to itself, and one that is not there."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendFactory
from napari_histodiff.core.engine import EngineState, JobFailed, JobFinished
from napari_histodiff.core.errors import Cancelled, EngineUnavailable
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.engine import remote
from napari_histodiff.engine.address import EngineAddress, make_certificate
from napari_histodiff.engine.messages import Loaded
from napari_histodiff.engine.remote import RemoteEngine
from napari_histodiff.engine.serving import listening, serve
from napari_histodiff.engine.worker import HostPlugin
from tests.contracts import EngineContract
from tests.fakes import FAKE_INFO, FakeBackend, FakeFactory
from tests.recording import Recorder, edit_request

FAKE = "tests.fakes:FakeBackend"


class Watched(FakeBackend):
    """The fake, drawing for long, and telling in this process how that ended."""

    ends: ClassVar[SimpleQueue[str]] = SimpleQueue()

    def render(self, requests: Sequence[EditRequest], **more: Any) -> list[NDArray[np.uint8]]:
        try:
            images = super().render(requests, **more)
        except Cancelled:
            Watched.ends.put("dropped")
            raise
        Watched.ends.put("drawn")
        return images


def watched() -> Watched:
    return Watched(FakeFactory(steps=300, delay=0.02))


class Server:
    """A machine with an engine: a scheduler and a worker in a thread of this process."""

    def __init__(self, certificate: Path | None, port: int = 0) -> None:
        self._certificate = certificate
        self._started = threading.Event()
        self._port = port
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._started.wait(60)

    async def _run(self) -> None:
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        address = EngineAddress("127.0.0.1", self._port, self._certificate)
        async with listening(address, HostPlugin("")) as self.port:
            self._started.set()
            await self._stop.wait()

    @property
    def address(self) -> EngineAddress:
        return EngineAddress.of(f"127.0.0.1:{self.port}", self._certificate)

    def end(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(60)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "engine.pem"
    make_certificate(path)
    return path


class TestRemoteEngine(EngineContract):
    told = replace(FAKE_INFO, device=f"{FAKE_INFO.device} on 127.0.0.1")

    @pytest.fixture(autouse=True)
    def _servers(self, certificate: Path) -> Iterator[None]:
        self.certificate: Path | None = certificate
        self.servers: list[Server] = []
        yield
        for engine in self.engines:
            engine.close()
        for server in self.servers:
            server.end()

    def serve(self, port: int = 0) -> Server:
        server = Server(self.certificate, port)
        self.servers.append(server)
        return server

    def make(self, factory: BackendFactory | str) -> RemoteEngine:
        return RemoteEngine(self.serve().address, factory)

    def test_two_windows_share_the_model_and_hear_only_their_own_steps(self) -> None:
        engine, record = self.engine()
        other = RemoteEngine(engine.address, FakeFactory())
        self.engines.append(other)
        other_record = Recorder(other)
        jobs = [one.submit(edit_request(variants=3)) for one in (engine, other)]
        assert isinstance(record.end(jobs[0]), JobFinished)
        assert isinstance(other_record.end(jobs[1]), JobFinished)
        for own, job in ((record, jobs[0]), (other_record, jobs[1])):
            assert {e.job for e in own.events if hasattr(e, "job")} == {job.id}

    def test_a_lost_connection_fails_the_job_and_a_restart_goes_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remote, "_CONNECT_SECONDS", 2.0)
        engine, record = self.engine(FakeFactory(delay=0.05))
        job = engine.submit(edit_request(steps=100, variants=16))
        record.wait_started(job)
        port = self.servers[0].port
        self.servers[0].end()
        end = record.end(job)
        assert isinstance(end, JobFailed)
        assert isinstance(end.error, EngineUnavailable)
        assert "connection that was lost" in str(end.error)
        record.wait_state(EngineState.DEAD)
        assert "histodiff serve" in record.states()[-1].message
        self.serve(port)
        engine.start()
        assert isinstance(record.end(engine.submit(edit_request())), JobFinished)

    @pytest.mark.parametrize("ends", ["the window", "the server"])
    def test_what_nobody_waits_for_any_more_is_not_drawn_to_its_end(
        self, monkeypatch: pytest.MonkeyPatch, ends: str
    ) -> None:
        monkeypatch.setattr(remote, "_CONNECT_SECONDS", 2.0)
        engine, record = self.engine("tests.engine.test_remote:watched")
        record.wait_started(engine.submit(edit_request()))
        if ends == "the window":
            engine.close()
        else:
            self.servers[0].end()
        assert Watched.ends.get(timeout=60) == "dropped"

    def test_an_idle_engine_notices_that_the_other_side_is_gone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remote, "_CONNECT_SECONDS", 2.0)
        engine, record = self.engine()
        engine.start()
        record.wait_state(EngineState.READY)
        self.servers[0].end()
        record.wait_state(EngineState.DEAD)

    def test_another_certificate_is_sent_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remote, "_CONNECT_SECONDS", 2.0)
        make_certificate(tmp_path / "other.pem")
        port = self.serve().port
        address = EngineAddress.of(f"127.0.0.1:{port}", tmp_path / "other.pem")
        engine = RemoteEngine(address, FAKE)
        self.engines.append(engine)
        record = Recorder(engine)
        engine.start()
        record.wait_state(EngineState.DEAD)
        assert "same certificate" in record.states()[-1].message

    def test_another_release_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(remote, "version", lambda _: "99.1")
        engine, record = self.engine()
        engine.start()
        record.wait_state(EngineState.DEAD)
        message = record.states()[-1].message
        assert "expected napari-histodiff 99.1" in message
        assert "install the same release" in message

    def test_loopback_needs_no_certificate(self) -> None:
        self.certificate = None
        engine, record = self.engine()
        assert isinstance(record.end(engine.submit(edit_request())), JobFinished)


def test_serving_loads_the_model_first_and_says_so(certificate: Path) -> None:
    told: list[tuple[Loaded, int]] = []

    async def run() -> None:
        stop = asyncio.Event()

        def ready(loaded: Loaded, port: int) -> None:
            told.append((loaded, port))
            stop.set()

        address = EngineAddress("127.0.0.1", 0, certificate)
        await serve(address, FAKE, ready=ready, stop=stop)

    asyncio.run(run())
    ((loaded, port),) = told
    assert loaded.info == FAKE_INFO
    assert port > 0


def test_a_model_that_cannot_be_loaded_is_not_served(certificate: Path) -> None:
    address = EngineAddress("127.0.0.1", 0, certificate)
    with pytest.raises(EngineUnavailable, match="no_such"):
        asyncio.run(serve(address, "tests.fakes:no_such", ready=lambda *_: None))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("gpu-box", "gpu-box", 8786),
        ("gpu-box:99", "gpu-box", 99),
        (" tls://10.0.0.7:8786/ ", "10.0.0.7", 8786),
        ("[fe80::1]:77", "fe80::1", 77),
    ],
)
def test_addresses_as_people_write_them(certificate: Path, text: str, host: str, port: int) -> None:
    address = EngineAddress.of(text, certificate)
    assert (address.host, address.port, address.protocol) == (host, port, "tls")
    assert address.url.startswith("tls://")


@pytest.mark.parametrize(
    "text", ["", "gpu box", "http://gpu-box:80", "gpu-box:0", "gpu-box:99999", "a:1:2", "../x"]
)
def test_what_is_no_address_is_refused(certificate: Path, text: str) -> None:
    with pytest.raises(EngineUnavailable, match="expected an address"):
        EngineAddress.of(text, certificate)


@pytest.mark.parametrize("host", ["gpu-box", "192.168.0.9", "0.0.0.0", "tcp://gpu-box"])
def test_unencrypted_connections_to_others_must_be_allowed(host: str) -> None:
    with pytest.raises(EngineUnavailable, match="expected an encrypted connection"):
        EngineAddress.of(host)
    assert EngineAddress.of(host, allow_unencrypted=True).protocol == "tcp"
    for here in ("127.0.0.1", "localhost", "[::1]:9"):
        assert EngineAddress.of(here).protocol == "tcp"
    with pytest.raises(EngineUnavailable, match="expected a certificate"):
        EngineAddress.of("tls://gpu-box", allow_unencrypted=True)


def test_files_that_are_no_certificate_are_refused(tmp_path: Path, certificate: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for file in (tmp_path / "absent.pem", tmp_path / "empty.pem", tmp_path):
        with pytest.raises(EngineUnavailable, match="expected a certificate with its key"):
            EngineAddress.of("gpu-box", file)


def test_a_certificate_is_its_owner_s_and_is_never_replaced(certificate: Path) -> None:
    if os.name == "posix":
        assert stat.S_IMODE(certificate.stat().st_mode) == 0o600
    text = certificate.read_text()
    with pytest.raises(FileExistsError):
        make_certificate(certificate)
    assert certificate.read_text() == text
