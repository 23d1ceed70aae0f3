"""The page of a reader study, by HTTP requests as a browser sends them."""

from __future__ import annotations

import json
import re
import threading
from http.client import HTTPConnection

import pytest

from napari_histodiff.core.errors import StorageError
from napari_histodiff.studies.reading.create import new_study
from napari_histodiff.studies.reading.database import ReaderStudy
from napari_histodiff.studies.reading.trials import ReadingOptions
from napari_histodiff.studies.reading.web import StudyServer
from tests.studies.reading.pictures import folders


@pytest.fixture
def study(tmp_path) -> ReaderStudy:
    real, synthetic = folders(tmp_path, count=5)
    options = ReadingOptions(pairs=2, singles=2, catch=1, practice=1, title="Real?")
    return new_study(tmp_path / "a.study", [real], [synthetic], options)[0]


@pytest.fixture
def server(study):
    server = StudyServer(study)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    server.close()
    thread.join()


@pytest.fixture
def ask(server):
    port = int(server.address.rsplit(":", 1)[1].strip("/"))

    def send(path, message=None, **headers):
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            if message is None:
                connection.request("GET", path, headers=headers)
            else:
                body = message if isinstance(message, str) else json.dumps(message)
                given = {"Content-Type": "application/json"} | headers
                connection.request("POST", path, body, given)
            reply = connection.getresponse()
            content = reply.read()
            return reply.status, reply.getheaders(), content
        finally:
            connection.close()

    return send


def test_a_reader_answers_everything_in_the_browser(ask, study) -> None:
    state = json.loads(ask("/api/join", {"name": "Ann"})[2])
    seen = 0
    while "trial" in state:
        trial = state["trial"]
        for image in trial["images"]:
            status, headers, data = ask(f"/image/{image}")
            assert status == 200
            assert dict(headers)["Content-Type"] == "image/jpeg"
            assert data[:2] == b"\xff\xd8"
        said = {"chosen": trial["images"][1]} if len(trial["images"]) == 2 else {"rating": 5}
        message = {"reader": state["reader"], "trial": trial["number"], "seconds": 1.25}
        state = json.loads(ask("/api/answer", message | said | {"reason": "why"})[2])
        seen += 1
    assert seen == state["total"] == 6
    assert {(a.seconds, a.reason) for a in study.answers()} == {(1.25, "why")}
    assert json.loads(ask("/api/join", {"name": "ann"})[2])["done"] == 6


def test_the_page_fetches_nothing_from_elsewhere_and_tells_no_truth(ask) -> None:
    status, headers, page = ask("/")
    assert status == 200
    assert "default-src 'self'" in dict(headers)["Content-Security-Policy"]
    assert not re.search(rb"(src|href)=.?(https?:)?//", page)
    told = ask("/api/study")[2] + ask("/api/join", {"name": "A"})[2]
    assert b"synthetic" not in told
    assert b"organ" not in told
    assert json.loads(ask("/api/study")[2])["title"] == "Real?"


@pytest.mark.parametrize(
    ("path", "message", "status"),
    [
        ("/nowhere", None, 404),
        ("/../secret", None, 404),
        ("/image/99999", None, 400),
        ("/image/99999999999999", None, 404),
        ("/api/nothing", {}, 404),
        ("/api/join", {}, 400),
        ("/api/join", {"name": 3}, 400),
        ("/api/join", "[1]", 400),
        ("/api/join", "{", 400),
        ("/api/answer", {"reader": 9, "trial": 1, "seconds": 1, "rating": 1}, 400),
        ("/api/answer", {"reader": True, "trial": 1, "seconds": 1}, 400),
        ("/api/join", "x" * 70_000, 413),
    ],
)
def test_what_no_page_of_ours_sends_is_refused_in_words(ask, path, message, status) -> None:
    found, _, body = ask(path, message)
    assert found == status
    assert json.loads(body)["error"]


def test_other_sites_cannot_use_a_readers_browser(ask) -> None:
    assert ask("/", Host="evil.example:80")[0] == 403
    assert ask("/api/study", Host="evil.example")[0] == 403
    assert ask("/api/join", {"name": "x"}, **{"Content-Type": "text/plain"})[0] == 415


def test_a_taken_port_is_told(server, study) -> None:
    port = int(server.address.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(StorageError, match="free port"):
        StudyServer(study, port)
    with pytest.raises(StorageError, match="free port"):
        StudyServer(study, 10**6)
