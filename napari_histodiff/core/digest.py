"""Names of contents: what is equal has the same one, what differs another."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

__all__ = ["digest_of"]

#: Bytes of a name; enough that two contents never share one.
_SIZE: Final = 16


def digest_of(*parts: object) -> bytes:
    """Return a name for some values in their order, 16 bytes.

    Parameters
    ----------
    parts
        Arrays count by type, shape and bytes, byte strings by their bytes, and everything else by
        its representation, which must tell it apart.
    """
    digest = hashlib.blake2b(digest_size=_SIZE)
    for part in parts:
        if isinstance(part, np.ndarray):
            head, data = (
                repr((part.dtype.str, part.shape)).encode(),
                np.ascontiguousarray(part).data,
            )
        else:
            head, data = b"", memoryview(part if isinstance(part, bytes) else repr(part).encode())
        digest.update(len(head).to_bytes(8, "little") + head)
        digest.update(data.nbytes.to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()
