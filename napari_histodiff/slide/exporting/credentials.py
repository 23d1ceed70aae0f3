"""Content credentials (C2PA) of exported images: signed by whoever exports, read by anyone.

The library is `c2pa-python`, of the Content Authenticity Initiative; nothing is fetched, and no
time stamp is asked for. https://spec.c2pa.org
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.metadata import version
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.files import move_into_place

__all__ = ["SIGNED", "Credentials", "credentials_of", "new_identity", "sign"]

#: Endings of files that can be signed.
SIGNED: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}

_OURS: Final = "org.napari-histodiff.provenance"
_IPTC: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"

#: What the standard calls an image that a model drew, in whole or in part.
_KINDS: Final = {
    "all": f"{_IPTC}trainedAlgorithmicMedia",
    "part": f"{_IPTC}compositeWithTrainedAlgorithmicMedia",
    "none": f"{_IPTC}digitalCapture",
}

_YEARS: Final = 10

#: How a manifest store begins, in any file: the JUMBF box that describes it, by type.
_STORE: Final = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the credentials of a file say.

    Attributes
    ----------
    signer : str
        Name on the certificate.
    valid : bool
        Whether the signature holds and the bytes are those that were signed.
    trusted : bool
        Whether the certificate is of a list that the library trusts; those one makes oneself never
        are.
    statement : str
        What they say of the image; empty when napari-histodiff did not write them.
    """

    signer: str
    valid: bool
    trusted: bool
    statement: str

    def __str__(self) -> str:
        if not self.valid:
            return "The content credentials (C2PA) do NOT hold: the file was changed since."
        known = "" if self.trusted else ", whose certificate nobody vouches for"
        return f"Content credentials (C2PA) by {self.signer or 'an unnamed signer'}{known}: intact."


def credentials_of(path: Path) -> Credentials | None:
    """Return the content credentials of a file; None without any, or without the library."""
    if path.suffix.lower() not in SIGNED or not path.is_file():
        return None
    try:
        library = _library()
    except InvalidRequest:
        return None
    try:
        with library.Reader(str(path)) as reader:
            store, state = json.loads(reader.json()), reader.get_validation_state()
    except library.C2paError as error:
        if "ManifestNotFound" in str(error) or not _carries(path):
            return None
        return Credentials("", valid=False, trusted=False, statement="")
    manifest = store["manifests"][store["active_manifest"]]
    said = [a["data"] for a in manifest.get("assertions", ()) if a["label"] == _OURS]
    signature = manifest.get("signature_info") or {}
    return Credentials(
        str(signature.get("common_name") or signature.get("issuer") or ""),
        valid=state in ("Valid", "Trusted"),
        trusted=state == "Trusted",
        statement=str(said[0].get("statement", "")) if said else "",
    )


def sign(
    path: Path, said: Mapping[str, Any], certificate: Path, key: Path, out: Path | None = None
) -> Path:
    """Write a file with content credentials, whole or not at all, and return where.

    Parameters
    ----------
    path : Path
        PNG, JPEG or TIFF, a pyramid, too.
    said : mapping
        What is synthetic in it, ready for JSON; `Inspection.said`.
    certificate, key : Path
        PEM files: the certificate with those above it, and its private key on the curve P-256.
    out : Path, optional
        Another file; in place of the one that was there by default.

    Raises
    ------
    InvalidRequest
        When the library is missing, the file is of another kind or one that the library cannot
        rewrite, or certificate or key will not do.
    StorageError
        When a file cannot be read or written.
    """
    library = _library()
    media = SIGNED.get(path.suffix.lower())
    out = path if out is None else out
    if media is None or SIGNED.get(out.suffix.lower()) != media:
        raise InvalidRequest(
            f"expected PNG, JPEG or TIFF to sign, got {path.name}; export one of these"
        )
    try:
        chain, secret = certificate.read_bytes(), key.read_bytes()
        path.read_bytes()[:1]
    except OSError as error:
        raise StorageError(
            f"expected an image, a certificate and its key, got '{error}'; check the paths"
        ) from error
    part = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix}")
    try:
        algorithm = library.C2paSigningAlg.ES256
        signer = library.Signer.from_info(library.C2paSignerInfo(algorithm, chain, secret, None))
        with library.Builder(json.dumps(_manifest(path.name, said))) as builder:
            builder.sign_file(str(path), str(part), signer)
        move_into_place(part, out)
    except (library.C2paError, ValueError) as error:
        if str(error).startswith("Io"):  # 64-bit SubIFDs, of three levels and more, it cannot read
            raise InvalidRequest(
                f"expected a file that c2pa-python can rewrite, got {path.name} ('{error}'); it "
                "cannot do so with OME-TIFF of several levels: export with --format tiff"
            ) from error
        raise InvalidRequest(
            f"expected a certificate for signing and its key on P-256, got '{error}'; make both "
            "with --new-identity, or ask whoever issued them"
        ) from error
    except OSError as error:
        raise StorageError(
            f"expected to write {out}, got '{error.strerror or error}'; free some space"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return out


def new_identity(name: str, certificate: Path, key: Path) -> None:
    """Write a certificate of one's own, with the one above it, and its key, as PEM files.

    Nobody vouches for it: it tells that files are of one signer and unchanged, not who that is.

    Raises
    ------
    InvalidRequest
        When the name is empty, or one of the files exists.
    StorageError
        When they cannot be written.
    """
    if not name.strip() or len(name) > 64:
        raise InvalidRequest(
            f"expected a name of 1 to 64 characters, got {len(name)}; write your name"
        )
    for path in (certificate, key):
        if path.exists():
            raise InvalidRequest(
                f"expected a new file, got {path}, which exists; choose another, so that no key is "
                "lost"
            )
    top, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(f"{name} (root)", f"{name} (root)", top, top, is_root=True)
    leaf = _certificate(name, f"{name} (root)", own, top, is_root=False)
    secret = own.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (leaf, root))
    try:
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
        certificate.write_bytes(chain)
    except OSError as error:
        raise StorageError(
            f"expected to write {certificate} and {key}, got '{error.strerror or error}'; choose "
            "another folder"
        ) from error


def _library() -> Any:
    """The library, which is optional."""
    try:
        return import_module("c2pa")
    except (ImportError, OSError) as error:
        raise InvalidRequest(
            "expected the library c2pa-python, got none; install it with "
            'pip install "napari-histodiff[credentials]"'
        ) from error


def _carries(path: Path) -> bool:
    """Whether a file that the library cannot read, as several levels of OME-TIFF, is signed."""
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return data.find(_STORE) >= 0
    except (OSError, ValueError):  # empty, or gone
        return False


def _manifest(name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    own = version("napari-histodiff")
    extent = said.get("extent") or ("part" if said.get("image") is not None else "all")
    kept = {key: value for key, value in said.items() if not isinstance(value, dict | list)}
    kept |= {key: said[key] for key in ("models", "edits", "model") if key in said}
    agent = {"name": "napari-histodiff", "version": own}
    made = {
        "action": "c2pa.opened" if extent == "none" else "c2pa.created",
        "digitalSourceType": _KINDS[str(extent)],
        "softwareAgent": agent,
    }
    return {
        "claim_generator_info": [agent],
        "title": name,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [made]}},
            {"label": _OURS, "data": kept},
        ],
    }


def _certificate(
    subject: str,
    issuer: str,
    own: ec.EllipticCurvePrivateKey,
    above: ec.EllipticCurvePrivateKey,
    *,
    is_root: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not is_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_root,
        crl_sign=is_root,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(is_root, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False
        )
    )
    if not is_root:
        signs = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(signs, critical=False)
    return builder.sign(above, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "made with napari-histodiff"),
        ]
    )
