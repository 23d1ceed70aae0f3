"""Drawing on another machine: where it is, and what opens it, asked and remembered."""

from __future__ import annotations

import pathlib  # magicgui looks names of modules up, not ours
from typing import TYPE_CHECKING

from magicgui import magicgui
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QDialog, QWidget

from napari_histodiff.ui.generation.engines import BACKEND
from napari_histodiff.ui.widgets.dialogs import FormDialog

if TYPE_CHECKING:
    from magicgui.widgets import FunctionGui

    from napari_histodiff.ui.generation.controller import Controller

__all__ = ["ask_remote", "remote_form", "use_remote"]

#: Pixels of the fields.
_WIDTH = 320

_NOTE = (
    "On the other machine, where the same release is installed:\n"
    "    histodiff serve --host 0.0.0.0 --certificate engine.pem\n"
    "Copy engine.pem to this machine and choose it here. Connect only to machines you trust:\n"
    "each side can run programs on the other."
)


def use_remote(
    controller: Controller,
    address: str,
    certificate: pathlib.Path | None = None,
    allow_unencrypted: bool = False,
) -> None:
    """Draw with the engine of another machine from now on; it is remembered for the next time.

    Raises
    ------
    EngineUnavailable
        When that is no address, or nothing would be encrypted and nobody allowed it. Whether the
        engine answers is told by its state.
    """
    from napari_histodiff.engine.address import EngineAddress
    from napari_histodiff.engine.remote import RemoteEngine

    where = EngineAddress.of(address, certificate, allow_unencrypted=allow_unencrypted)
    controller.set(
        engine_address=str(where),
        engine_certificate="" if certificate is None else str(certificate),
    )
    controller.use_engine(RemoteEngine(where, BACKEND))
    show_info(f"Drawing at {where} from now on. Model > Bundled model comes back to this machine.")


def remote_form(controller: Controller) -> FunctionGui[None]:
    """Return the form of `use_remote`, with what was chosen last."""
    settings = controller.settings
    file = settings.engine_certificate

    def form(
        address: str = settings.engine_address,
        certificate: pathlib.Path | None = pathlib.Path(file) if file else None,
        allow_unencrypted: bool = False,
    ) -> None:
        use_remote(controller, address, certificate, allow_unencrypted)

    made: FunctionGui[None] = magicgui(
        form,
        call_button=False,
        address={
            "label": "Address",
            "tooltip": "Name or number of the other machine, and the port: gpu-box:8786",
        },
        certificate={
            "label": "Certificate",
            "filter": "*.pem",
            "nullable": True,
            "tooltip": "The file that histodiff serve made there, copied to this machine",
        },
        allow_unencrypted={
            "label": "Allow unencrypted",
            "tooltip": "Only in a network that nobody else can reach",
        },
    )
    for name in ("address", "certificate"):
        made[name].min_width = _WIDTH
    made["address"].native.setPlaceholderText("gpu-box:8786")
    return made


def ask_remote(parent: QWidget | None, controller: Controller) -> None:
    """Ask where the engine of another machine is, and draw with it.

    Raises
    ------
    EngineUnavailable
        As `use_remote`.
    """
    form = remote_form(controller)
    dialog = FormDialog(parent, "Use an engine on another machine", form, _NOTE)
    if dialog.exec() == QDialog.DialogCode.Accepted:
        form()
