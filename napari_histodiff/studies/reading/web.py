"""A reader study as a page in the browser, served to this computer alone by the standard library.

No account and no network: the page is one file, and talks to the server it came from. Truth stays
here; what the browser gets are numbers of images dealt at random. Requests that another page could
send from the reader's browser are refused by their `Host` and their content type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Final

from napari_histodiff.core.errors import HistodiffError, InvalidRequest, StorageError
from napari_histodiff.studies.reading.answers import RATING_WORDS
from napari_histodiff.studies.reading.database import ReaderStudy, Seat

__all__ = ["StudyServer"]

_LOOPBACK: Final = "127.0.0.1"
_LARGEST: Final = 64 * 1024  # bytes of a request
_IMAGE: Final = re.compile(r"/image/(\d{1,9})")
_POLICY: Final = "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class StudyServer:
    """Serves a study on the loopback address until it is closed.

    Parameters
    ----------
    study : ReaderStudy
    port : int
        0 takes a free one.

    Raises
    ------
    StorageError
        When the port is taken.
    """

    def __init__(self, study: ReaderStudy, port: int = 0) -> None:
        handler = type("_StudyPage", (_Page,), {"study": study})
        try:
            self._server = ThreadingHTTPServer((_LOOPBACK, port), handler)
        except (OSError, OverflowError) as error:
            raise StorageError(
                f"expected a free port, got {port} ({error}); choose another with --port"
            ) from error
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """Where a browser on this computer finds the page."""
        return f"http://{_LOOPBACK}:{self._server.server_port}/"

    def serve(self) -> None:
        """Answer requests until `close` is called from another thread, or Ctrl-C."""
        self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stop serving; idempotent."""
        self._server.shutdown()
        self._server.server_close()

    def release(self) -> None:
        """Give the port back after `serve` ended by itself."""
        self._server.server_close()


class _Page(BaseHTTPRequestHandler):
    study: ReaderStudy
    protocol_version = "HTTP/1.1"
    server_version = "napari-histodiff"
    timeout = 30

    def do_GET(self) -> None:
        """Send the page, what it asks of the study, or an image."""
        image = _IMAGE.fullmatch(self.path)
        if image is not None:
            self._answer(lambda: self.study.image(int(image[1])))
        elif self.path == "/":
            page = files("napari_histodiff.studies.reading").joinpath("page.html")
            self._answer(lambda: ("text/html; charset=utf-8", page.read_bytes()))
        elif self.path == "/api/study":
            self._answer(lambda: _json(self._study()))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        """Seat a reader, or keep an answer; both reply with what is shown next."""
        actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "/api/join": self._join,
            "/api/answer": self._keep,
        }
        action = actions.get(self.path)
        length = self.headers.get("Content-Length", "")
        if action is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON")
        elif not length.isdecimal() or int(length) > _LARGEST:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "send less")
        else:
            body = self.rfile.read(int(length))
            self._answer(lambda: _json(action(_parsed(body))))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing: every answer would be a line."""

    def _study(self) -> dict[str, Any]:
        return {
            "title": self.study.title,
            "counts": self.study.counts(),
            "ratings": RATING_WORDS,
        }

    def _join(self, message: dict[str, Any]) -> dict[str, Any]:
        return self._next(self.study.join(_field(message, "name", str)))

    def _keep(self, message: dict[str, Any]) -> dict[str, Any]:
        reader = _field(message, "reader", int)
        self.study.answer(
            reader,
            _field(message, "trial", int),
            chosen=_field(message, "chosen", int, optional=True),
            rating=_field(message, "rating", int, optional=True),
            seconds=float(_field(message, "seconds", int | float)),
            reason=_field(message, "reason", str, optional=True) or "",
        )
        return self._next(self.study.seat(reader))

    def _next(self, seat: Seat) -> dict[str, Any]:
        trial = self.study.next_trial(seat.reader)
        reply: dict[str, Any] = {"reader": seat.reader, "done": seat.done, "total": seat.total}
        if trial is not None:
            reply["trial"] = {
                "number": trial.trial,
                "images": trial.images,
                "practice": trial.practice,
            }
        return reply

    def _answer(self, make: Callable[[], tuple[str, bytes]]) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in {_LOOPBACK, "localhost"}:
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for this computer only")
            return
        try:
            media, body = make()
        except StorageError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        except HistodiffError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._send(HTTPStatus.OK, media, body)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what the request still holds is not read
        self._send(status, *_json({"error": why}))

    def _send(self, status: HTTPStatus, media: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _json(value: dict[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError as error:
        raise InvalidRequest(f"expected JSON, got something else ({error}); reload") from error
    if not isinstance(message, dict):
        raise InvalidRequest("expected a JSON object, got something else; reload the page")
    return message


def _field(message: dict[str, Any], name: str, kind: Any, *, optional: bool = False) -> Any:
    value = message.get(name)
    if (value is None and optional) or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f"expected {name} of another kind, got {value!r}; reload the page")
