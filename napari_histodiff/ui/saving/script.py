"""An edit as Python code that draws the same pixels, with the file that it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.files import write_whole

__all__ = ["python_of"]

#: Most files of requests that are kept; the oldest leave.
_MOST: Final = 200


def python_of(request: EditRequest, *, model: Path | None = None, folder: Path) -> str:
    """Return code that draws a request again, byte for byte where the device is the same.

    All that decides the pixels is in a file, whose name is made of what it holds: it is written
    here, whole or not at all, and copying again finds it.

    Parameters
    ----------
    request : EditRequest
        What was drawn.
    model : Path, optional
        The folder of the model that drew it; None = the bundled one.
    folder : Path
        Where the file is written.

    Raises
    ------
    StorageError
        When it cannot be written.
    """
    text = json.dumps(request.to_dict()).encode()
    path = folder / f"{request.kind}-{digest_of(text).hex()[:16]}.json"
    try:
        write_whole(path, text)
        for old in sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime)[:-_MOST]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"expected to write the request into {folder}, got '{error.strerror or error}'; free "
            "some space and copy again"
        ) from error
    drawn_by = " ".join(filter(None, (request.model_name, request.model_revision)))
    given = "" if model is None else repr(str(model))
    return "\n".join(
        (
            "import napari_histodiff as hd",
            "",
            f"# caption {request.caption!r}, seed {request.seed}",
            f"request = hd.EditRequest.from_json({str(path)!r})",
            f"model = hd.load_model({given})" + (f"  # {drawn_by}" if drawn_by else ""),
            "images = model.draw(request)  # (variants, height, width, 3) uint8",
            "",
        )
    )
