"""A hub on this machine: the few endpoints that its client asks, for folders of tiny models."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["COMMIT", "NAME", "FakeHub", "serve"]

#: Endings of files that the real hub keeps apart, with their SHA-256.
_LARGE = (".safetensors", ".bin")

NAME = "lab/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """What the hub has, and how it behaves.

    Attributes
    ----------
    models : dict of str to Path
        Folder of each repository.
    card : dict
        Head of every card.
    gated, closed : bool
        Whether the hub says that authors want to be asked; whether it lets nobody in.
    cut : int or None
        Bytes of a large file after which the connection breaks, once.
    hold : Event or None
        Large files stop in their middle until it is set.
    lies : bool
        Whether large files have other bytes than the hub lists.
    asked : list of str
        Paths that were asked for with GET.
    """

    models: dict[str, Path]
    card: dict[str, Any] = field(default_factory=lambda: {"license": "openrail"})
    gated: bool = False
    closed: bool = False
    cut: int | None = None
    hold: threading.Event | None = None
    lies: bool = False
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def described(self, name: str) -> dict[str, Any]:
        """What the API says of a model."""
        files = []
        for path in sorted(p for p in self.models[name].rglob("*") if p.is_file()):
            told: dict[str, Any] = {
                "rfilename": path.relative_to(self.models[name]).as_posix(),
                "size": path.stat().st_size,
                "blobId": hashlib.sha1(path.read_bytes()).hexdigest(),
            }
            if path.suffix in _LARGE:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                told["lfs"] = {"sha256": digest, "size": told["size"], "pointerSize": 130}
            files.append(told)
        return {
            "id": name,
            "modelId": name,
            "sha": COMMIT,
            "gated": "manual" if self.gated else False,
            "private": False,
            "cardData": self.card,
            "siblings": files,
            "tags": [],
        }


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """Answer on a port of this machine; its address is `hub.url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        if hub.hold is not None:
            hub.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(send=False)

        def do_GET(self) -> None:
            hub.asked.append(self.path)
            self._answer(send=True)

        def _answer(self, *, send: bool) -> None:
            path = self.path.partition("?")[0]
            about = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
            file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            name = about[1] if about else file[1] if file else ""
            if name not in hub.models:
                self._refuse(404, "RepoNotFound" if about or file else "")
            elif about and about[2] not in (None, "main", COMMIT):
                self._refuse(404, "RevisionNotFound")
            elif hub.closed:
                self._refuse(403, "GatedRepo")
            elif about:
                self._send(json.dumps(hub.described(name)).encode(), send, {})
            else:
                assert file is not None
                self._send_file(hub.models[name] / file[3], send)

        def _send_file(self, path: Path, send: bool) -> None:
            if not path.is_file():
                self._refuse(404, "EntryNotFound")
                return
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if hub.lies and path.suffix in _LARGE:
                data = data[:-1] + bytes([data[-1] ^ 1])
            headers = {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if path.suffix in _LARGE:
                headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            self._send(data, send, headers, large=path.suffix in _LARGE)

        def _send(
            self, data: bytes, send: bool, headers: dict[str, str], large: bool = False
        ) -> None:
            start, status = 0, 200
            if send and (wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
                start, status = int(wanted[1]), 206
                hub.ranges.append(wanted[0])
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if not send:
                return
            if large and hub.cut is not None:
                self.wfile.write(data[start : hub.cut])
                hub.cut = None
                self.close_connection = True
                self.connection.close()
                return
            if large and hub.hold is not None:
                self.wfile.write(data[start : len(data) // 2])
                self.wfile.flush()
                hub.held.set()
                hub.hold.wait()
                start = len(data) // 2
            try:
                self.wfile.write(data[start:])
            except OSError:  # the client was ended
                self.close_connection = True

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler
