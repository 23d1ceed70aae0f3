"""Where an engine on another machine is, and what opens it: an address and a file with a key."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from distributed import Security

from napari_histodiff.core.errors import EngineUnavailable

__all__ = ["DEFAULT_PORT", "EngineAddress", "make_certificate"]

DEFAULT_PORT: Final = 8786

_FORM: Final = re.compile(
    r"(?:(?P<scheme>tls|tcp)://)?(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?/?"
)


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where an engine listens, and what it is spoken to with.

    Attributes
    ----------
    host : str
        A name or a number.
    port : int
    certificate : Path, optional
        A PEM file with a certificate and its key, the same on both machines: each shows it to the
        other, and whoever lacks it is sent away. None = without encryption.
    """

    host: str
    port: int = DEFAULT_PORT
    certificate: Path | None = None

    @classmethod
    def of(
        cls, text: str, certificate: Path | None = None, *, allow_unencrypted: bool = False
    ) -> EngineAddress:
        """Read "HOST:PORT", "tls://HOST:PORT" or "HOST".

        Raises
        ------
        EngineUnavailable
            When it is no such address; the file lacks a certificate or its key; or nothing would be
            encrypted on the way to another machine and nobody allowed that.
        """
        found = _FORM.fullmatch(text.strip())
        port = int(found["port"] or DEFAULT_PORT) if found else 0
        if found is None or not 0 < port < 2**16:
            raise EngineUnavailable(
                f"expected an address such as gpu-box:{DEFAULT_PORT}, got {text!r}; give the name "
                "of the machine and the port that `histodiff serve` shows there"
            )
        address = cls(found["host"].strip("[]"), port, certificate)
        if certificate is not None:
            _check(certificate)
        elif found["scheme"] == "tls":
            raise EngineUnavailable(
                f"expected a certificate for {text}, got none; choose the file that `histodiff "
                "serve` made there"
            )
        elif not (address.is_here or allow_unencrypted):
            raise EngineUnavailable(
                f"expected an encrypted connection to {address.host}, got no certificate; choose "
                "the file that `histodiff serve` made there, or allow it in a network that only "
                "you can reach"
            )
        return address

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, which nobody else listens to."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url(self) -> str:
        """As dask writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.certificate else 'tcp'}://{host}:{self.port}"

    @property
    def protocol(self) -> str:
        """The scheme of dask: "tls", or "tcp" without encryption."""
        return "tls" if self.certificate else "tcp"

    @property
    def security(self) -> Security:
        """What both sides show each other."""
        if self.certificate is None:
            return Security(require_encryption=False)
        file = str(self.certificate)
        roles = ("scheduler", "worker", "client")
        shown = {f"tls_{role}_{part}": file for role in roles for part in ("cert", "key")}
        return Security(require_encryption=True, tls_ca_file=file, **shown)

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.host}:{self.port}"


def make_certificate(path: Path) -> None:
    """Write a new certificate with its key into one file that only its owner reads.

    Raises
    ------
    FileExistsError
        When there is a file already.
    OSError
        When it cannot be written.
    """
    made = Security.temporary()
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{made.tls_scheduler_cert.strip()}\n{made.tls_scheduler_key.strip()}\n")


def _check(certificate: Path) -> None:
    try:
        context = ssl.create_default_context(cafile=str(certificate))
        context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as error:  # SSLError is an OSError with words of its own
        said = error.strerror if not isinstance(error, ssl.SSLError) else "no certificate with key"
        raise EngineUnavailable(
            f"expected a certificate with its key in {certificate}, got {said}; choose the PEM "
            "file that `histodiff serve` made on the other machine, copied to this one"
        ) from error
