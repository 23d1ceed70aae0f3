"""`histodiff serve`: this machine draws for windows on others."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from napari_histodiff.cli.options import FOLDER, NEW_FILE, device_option

__all__ = ["serve"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8786, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--certificate",
    type=NEW_FILE,
    help="PEM file with certificate and key; made when it is not there, and the same for windows.",
)
@click.option("--model", type=FOLDER, help="Model folder.")
@device_option
@click.option(
    "--allow-unencrypted",
    is_flag=True,
    help="Go without a certificate on an address that other machines reach.",
)
def serve(
    host: str,
    port: int,
    certificate: Path | None,
    model: Path | None,
    device: str,
    allow_unencrypted: bool,
) -> None:
    """Draw for napari windows on other machines, until Ctrl-C.

    In the window: Model > Use an engine on another machine. Whoever has the certificate can run
    programs on this machine: copy it over a safe way (scp), to your own machines only.
    """
    from napari_histodiff.engine.address import EngineAddress, make_certificate
    from napari_histodiff.engine.messages import Loaded
    from napari_histodiff.engine.serving import serve as serve_engine

    if certificate is not None and not certificate.exists():
        make_certificate(certificate)
        click.echo(
            f"Made {certificate}; copy it to the machine with the window, for example by scp."
        )
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    address = EngineAddress.of(where, certificate, allow_unencrypted=allow_unencrypted)
    if model is not None:
        os.environ["HISTODIFF_MODEL"] = str(model.absolute())
    os.environ["HISTODIFF_DEVICE"] = device

    def ready(loaded: Loaded, port: int) -> None:
        secured = f"certificate {certificate}" if certificate else "no encryption"
        click.echo(f"{loaded.info.name} on {loaded.info.device}, {address.host}:{port}, {secured}.")

    factory = "napari_histodiff.diffusion.backend:default_backend"
    try:
        asyncio.run(serve_engine(address, factory, ready=ready))
    except KeyboardInterrupt:
        click.echo("Ended.")
