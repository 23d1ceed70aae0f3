"""Downloads of accepted models, in a process of their own: cancel is certain, and work is kept.

Files arrive in a hidden folder beside the place of the model, where a later download goes on; only
a whole and checked model gets its name.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from dask.utils import format_bytes
from filelock import FileLock, Timeout

from napari_histodiff.core.errors import Cancelled, HistodiffError, HubUnavailable, StorageError
from napari_histodiff.core.errors import make_folder as make
from napari_histodiff.core.foreign.record import HALF, HubRecord, write_record
from napari_histodiff.engine.process import (
    ChildProcess,
    child_command,
    child_environment,
    describe_exit,
)
from napari_histodiff.files import move_into_place
from napari_histodiff.hub.lookup import HubModel, endpoint, hub_words

__all__ = ["Download", "fetch", "partial_folder"]

_COMMAND: Final = child_command("napari_histodiff.hub.download:fetch")
_STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.25
_PART: Final = 2**22


def partial_folder(model: HubModel) -> Path:
    """Return where the files of a model arrive: those of one commit, which do not mix."""
    return model.folder.parent / f".{model.folder.name}.{model.commit[:12]}.part"


class Download:
    """One download, started at once; from any thread. It cannot outlive this process.

    Parameters
    ----------
    model : HubModel
        Whose licence the user accepted.
    command : sequence of str, optional
        Another program.

    Raises
    ------
    StorageError
        When it cannot be stored: no room, or no permission.
    """

    def __init__(self, model: HubModel, command: Sequence[str] = _COMMAND) -> None:
        self.model = model
        self._part = partial_folder(model)
        self._cancelled = False
        self._said: deque[str] = deque(maxlen=40)
        make(self._part)
        for other in self._part.parent.glob(f".{model.folder.name}.*.part"):
            if other != self._part:  # of a commit that nobody asks for any more
                shutil.rmtree(other, ignore_errors=True)
        self._check_room()
        settings = {
            "name": str(model.name),
            "repository": model.name.repository,
            "commit": model.commit,
            "licence": model.licence,
            "folder": str(model.folder),
            "part": str(self._part),
            "files": [asdict(file) for file in model.files],
        }
        # Its own bars and news would mix with the words of the program.
        extra = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        try:
            self._process = ChildProcess(
                command, child_environment(os.cpu_count() or 1, extra=extra), settings=settings
            )
        except OSError as error:
            raise StorageError(
                f"expected to start a download, got '{error.strerror or error}'; free memory, "
                "then try again"
            ) from error
        self._reader = threading.Thread(target=self._read, name="histodiff-download", daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._reader.is_alive()

    @property
    def done(self) -> int:
        """Bytes that have arrived, also in earlier downloads that were stopped."""
        if not self._part.is_dir():
            return self.model.nbytes if self.model.folder.is_dir() else 0
        found = 0
        for path in self._part.rglob("*"):
            try:
                found += path.stat().st_size if path.is_file() else 0
            except OSError:  # renamed at this moment
                continue
        return min(found, self.model.nbytes)

    def cancel(self) -> None:
        """End it at once; what arrived stays for the next time. Idempotent."""
        self._cancelled = True
        self._process.kill()

    def wait(self, on_progress: Callable[[int, int], None] | None = None) -> Path:
        """Wait for its end and return the folder of the model.

        Parameters
        ----------
        on_progress : callable, optional
            Called with bytes that arrived and bytes in all, four times a second; may raise to stop.

        Raises
        ------
        HubUnavailable
            When the network or the hub failed.
        StorageError
            When no room is left.
        Cancelled
            When `cancel` ended it.
        """
        try:
            while self.is_running:
                self._reader.join(_POLL_SECONDS)
                if on_progress is not None:
                    on_progress(self.done, self.model.nbytes)
        except BaseException:  # Ctrl-C among others
            self.cancel()
            raise
        return self.result()

    def result(self) -> Path:
        """Return the folder of the model, once it no longer runs; errors as in `wait`."""
        self._reader.join(_STOP_SECONDS)
        code = self._process.wait()
        self._process.close()
        if self._cancelled:
            raise Cancelled(f"the download of {self.model.name} was cancelled")
        if code == 0 and self.model.folder.is_dir():
            return self.model.folder
        last = next((line for line in reversed(self._said) if line.strip()), "").strip()
        try:
            said = json.loads(last)
            kind = StorageError if said["kind"] == "storage" else HubUnavailable
            raise kind(str(said["error"]))
        except (ValueError, TypeError, KeyError):
            pass
        raise HubUnavailable(
            f"expected the download of {self.model.name}, got "
            f"{(last or describe_exit(code))[:300]}; download it again: it goes on where it stopped"
        )

    def _read(self) -> None:
        self._said.extend(self._process.lines())
        self._process.wait()

    def _check_room(self) -> None:
        room = shutil.disk_usage(self._part).free
        wanted = self.model.nbytes - self.done
        if wanted > room:
            raise StorageError(
                f"expected {format_bytes(wanted)} of free space for {self.model.folder}, got "
                f"{format_bytes(room)}; free some, or set HISTODIFF_MODELS to a folder elsewhere"
            )


def fetch(settings: Mapping[str, Any]) -> int:
    """Download the files of a model one after another, check them, and give it its name.

    The child's side of `Download`; its last line says what went wrong.
    """
    folder = Path(settings["folder"])
    try:
        with FileLock(folder.parent / f".{folder.name}.lock", timeout=0):
            _fetch(settings)
    except Timeout:
        words = (
            f"expected to download {settings['name']} alone, got another download of it under way; "
            "wait for its end, then use the model"
        )
        sys.stdout.write("\n" + json.dumps({"error": words, "kind": "hub"}) + "\n")
        return 2
    except HistodiffError as error:
        kind = "storage" if isinstance(error, StorageError) else "hub"
        sys.stdout.write("\n" + json.dumps({"error": str(error), "kind": kind}) + "\n")
        return 2
    return 0


def _fetch(settings: Mapping[str, Any]) -> None:
    part, folder = Path(settings["part"]), Path(settings["folder"])
    name = str(settings["name"])
    if folder.is_dir():  # by another process, meanwhile
        shutil.rmtree(part, ignore_errors=True)
        return
    try:
        for file in settings["files"]:
            with hub_words(name):
                _fetch_file(settings, file, part)
        accepted = datetime.now(UTC).isoformat(timespec="seconds")
        write_record(
            part, HubRecord(name, str(settings["commit"]), str(settings["licence"]), accepted)
        )
        move_into_place(part, folder)
    except HistodiffError:  # some are errors of connections and of files
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise HubUnavailable(
                f"expected the download of {name}, got '{error}'; download it again: it goes on "
                "where it stopped"
            ) from error
        raise StorageError(
            f"expected to write into {part}, got '{error.strerror}'; free some space, then "
            "download it again: it goes on where it stopped"
        ) from error


def _fetch_file(settings: Mapping[str, Any], file: Mapping[str, Any], part: Path) -> None:
    """Fetch a file that has not arrived before, and check it."""
    path = part / file["name"]
    half = path.with_name(path.name + HALF)
    if path.is_file():  # only whole files have their names
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _append(settings, file, half)
    size, digest = half.stat().st_size, file["sha256"]
    if size != file["size"] or (digest and _sha256(half) != digest):
        half.unlink()  # else it would be gone on with
        raise HubUnavailable(
            f"expected {file['name']} of {file['size']} bytes as the hub lists it, got {size} "
            "others; download it again"
        )
    move_into_place(half, path)


def _append(settings: Mapping[str, Any], file: Mapping[str, Any], half: Path) -> None:
    """Fetch what lacks of a file; the hub's own `hf_hub_download` would begin anew."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(
        settings["repository"], file["name"], revision=settings["commit"], endpoint=endpoint()
    )
    if half.is_file() and half.stat().st_size > file["size"]:
        half.unlink()
    with half.open("ab") as stream:
        arrived = stream.tell()
        if arrived < file["size"] or not file["size"]:
            headers = build_hf_headers(library_name="napari-histodiff")
            http_get(url, stream, resume_size=arrived, headers=headers, expected_size=file["size"])


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PART):
            digest.update(piece)
    return digest.hexdigest()
