from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import StorageError
from napari_histodiff.slide.storage import journal
from napari_histodiff.slide.storage.journal import Journal, read_records

RECORDS = [b"one", b"", b"three" * 50, b"\0" * 9]


def write(path: Path, records: list[bytes]) -> None:
    log = Journal(path)
    for record in records:
        log.append(record)
    log.close()


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_what_was_appended_comes_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "log"
    write(path, records)
    found, end = read_records(path)
    assert found == records
    assert end == path.stat().st_size


def test_a_missing_journal_is_empty(tmp_path: Path) -> None:
    assert read_records(tmp_path / "log") == ([], 0)


def test_a_torn_tail_is_cut_off_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, RECORDS)
    whole = path.read_bytes()
    write(tmp_path / "shorter", RECORDS[:-1])
    start = (tmp_path / "shorter").stat().st_size
    for length in range(start, len(whole)):
        path.write_bytes(whole[:length])
        found, end = read_records(path)
        assert found == RECORDS[:-1]
        assert end == start
        log = Journal(path, end)
        log.append(b"next")
        log.close()
        assert read_records(path)[0] == [*RECORDS[:-1], b"next"]


def test_an_altered_record_ends_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, RECORDS)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found, _ = read_records(path)
        assert found == RECORDS[: len(found)]
        assert len(found) < len(RECORDS)


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Journal(path)
    log.append(b"one")
    assert read_records(path) == ([b"one"], log.size)
    end = log.size
    log.append(b"two", sync=True)
    log.append(b"three")
    assert read_records(path, end) == ([b"two", b"three"], log.size)
    log.close()
    log.close()


@pytest.mark.parametrize("written", [0, 1, 11])
def test_a_record_that_does_not_fit_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    path = tmp_path / "log"
    log = Journal(path)
    log.append(b"one")
    before = path.read_bytes()
    write_all = journal.os.write
    left = [written]

    def small(handle: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write_all(handle, data[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(journal.os, "write", small)
    with pytest.raises(StorageError, match="No space left"):
        log.append(b"a long record" * 9)
    assert path.read_bytes() == before
    monkeypatch.undo()
    log.append(b"two")
    assert read_records(path)[0] == [b"one", b"two"]
    log.close()
