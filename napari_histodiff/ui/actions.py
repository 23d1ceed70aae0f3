"""What buttons and keys do beyond one call of the controller: they ask the user first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from napari.layers import Image, Labels
from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import QApplication, QDialog, QInputDialog, QWidget

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.forms import (
    class_meant,
    import_form,
    import_tissue_asked,
    import_tissue_form,
    new_canvas_form,
    save_form,
)
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.engines import default_engine
from napari_histodiff.ui.generation.history import HistoryEntry
from napari_histodiff.ui.generation.presets import Preset, Presets
from napari_histodiff.ui.generation.states import Staging
from napari_histodiff.ui.models.dialogs import ask_folder, ask_masks, show_card
from napari_histodiff.ui.models.hub_dialog import HubDialog
from napari_histodiff.ui.models.remote import ask_remote
from napari_histodiff.ui.painting.selection import NucleusSelection
from napari_histodiff.ui.proposals.proposer import Proposer
from napari_histodiff.ui.saving.saving import Saved
from napari_histodiff.ui.saving.script import python_of
from napari_histodiff.ui.slide.questions import ask_overwrite
from napari_histodiff.ui.starting import samples
from napari_histodiff.ui.starting.preferences import preferences
from napari_histodiff.ui.text import SHOWN
from napari_histodiff.ui.training.dock import open_training
from napari_histodiff.ui.viewport import camera_of, to_data
from napari_histodiff.ui.widgets.dialogs import FormDialog, ask_keep
from napari_histodiff.ui.widgets.notices import copy_diagnostics, show_trouble
from napari_histodiff.ui.workspace.import_labels import look_like_numbers_of_nuclei, resampled
from napari_histodiff.ui.workspace.pending import PendingStep
from napari_histodiff.ui.workspace.targets import open_target
from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["StudioActions", "camera_of"]

#: Width of outlines in pixels of the image: of nuclei and tissue, and of the edit mask.
_OUTLINE: Final = 1
_MASK_OUTLINE: Final = 3


class StudioActions:
    """The actions that need a dialog, the clipboard, the selection or the view.

    Parameters
    ----------
    parent : QWidget
        What dialogs stand on.
    viewer : napari Viewer
        Whose selection and view are meant.
    workspace, controller, proposer
        Who carries the actions out.
    presets : Presets
        The user's own.
    commit : callable
        Takes over what is typed but not yet confirmed.
    focus_caption : callable
        Moves the keyboard to the caption.
    show_hand : callable
        Shows what is in the user's hand, once more.
    """

    edit_caption: Callable[[], None]

    def __init__(
        self,
        parent: QWidget,
        viewer: Any,
        workspace: Workspace,
        controller: Controller,
        proposer: Proposer,
        presets: Presets,
        commit: Callable[[], None],
        focus_caption: Callable[[], None],
        show_hand: Callable[[], None],
    ) -> None:
        self._parent = parent
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._proposer = proposer
        self._commit = commit
        self._presets = presets
        self.edit_caption = focus_caption
        self._show_hand = show_hand
        self._was_staged = False

    def generate(self) -> None:
        """Run the edit with what is in the fields, confirmed or not."""
        self._commit()
        self._controller.generate()

    def cancel(self) -> None:
        """Stop whatever runs: the edit, the judge and the import of labels."""
        self._controller.cancel()
        self._proposer.cancel()
        self._workspace.cancel_import()

    def accept_proposal(self) -> None:
        """Paint the proposed nuclei in view, as outlines that leave the tissue to compare with.

        Asks first when nuclei are painted there.
        """
        if self._proposer.state.proposal is None:
            show_warning("No nuclei are proposed; press Propose nuclei first.")
            return

        def accept() -> None:
            painted = self._proposer.go_back()
            keep = ask_keep(self._parent, painted) if painted else False
            if keep is not None:
                self._proposer.accept(keep=keep)
                self._set_contour(_OUTLINE)

        self._attempt(accept)

    def use_bundled_model(self) -> None:
        """Draw with the model that came with the package."""
        self._controller.use_engine(default_engine())

    def use_model(self, folder: Path) -> None:
        """Draw with the model of a folder."""
        self._controller.use_engine(default_engine(folder), folder)
        show_info(f"Drawing with the model in {folder}.")

    def ask_model(self) -> None:
        """Let the user choose a model folder to draw with."""
        self.ask_model_folder(self.use_model)

    def ask_model_folder(self, use: Callable[[Path], None]) -> None:
        """Let the user choose a model folder, and say how it takes paint where nobody has."""
        folder = ask_folder(self._parent)
        if folder is not None:
            self._ask_masks(folder, use)

    def ask_hub_model(self) -> None:
        """Let the user name a model of the Hugging Face Hub, accept its licence and download it."""
        dialog = HubDialog(self._parent)
        dialog.chosen.connect(lambda folder: self._ask_masks(folder, self.use_model))
        dialog.show()

    def _ask_masks(self, folder: Path, use: Callable[[Path], None]) -> None:
        def chosen() -> None:
            if ask_masks(self._parent, folder):
                use(folder)

        self._attempt(chosen)

    def ask_remote(self) -> None:
        """Ask where an engine on another machine is, and draw with it."""
        self._attempt(lambda: ask_remote(self._parent, self._controller))

    def show_model(self) -> None:
        """Say what the model is: what it was trained on, its size, licence and hash."""
        info = self._controller.status.info
        if info is None:
            show_warning("The model is loading; ask again when it is ready.")
        else:
            show_card(self._parent, info)

    def open_training(self) -> None:
        """Open the dock that trains a model on the user's own slides."""
        open_training(self._viewer)

    def ask_keep_preset(self) -> None:
        """Ask for a name and keep caption and settings under it."""
        name, accepted = QInputDialog.getText(
            self._parent, "Keep as preset", "Name of caption and settings:"
        )
        if accepted:
            preset = Preset.of(name.strip(), self._controller.settings_here)
            self._attempt(lambda: self._presets.keep(preset))

    def use_preset(self, preset: Preset) -> None:
        """Take over the caption and the settings of a preset; the paint and the seed stay."""
        self._controller.set(**preset.changes(self._controller.status.info))

    def open_sample_canvas(self) -> None:
        """Start on a canvas that is painted already."""
        samples.open_canvas(self._parent)

    def open_sample_slide(self) -> None:
        """Open a small synthetic slide, made when it is not there."""
        samples.open_slide(self._parent)

    def compare(self) -> None:
        """Hide the preview for a look at what is below, or show it again."""
        self._controller.staged.preview.toggle()

    def apply(self) -> None:
        """Write the variant in view, and show the paint as outlines so that it can be seen.

        Asks first when finer edits lie under it.
        """
        staging = self._controller.staged.now
        if staging is None:
            return
        # While an edit is being written, the controller says so; asking the slide would wait.
        if not self._workspace.doing.text:
            edits = self._workspace.document.target.edits_under(staging.entry.request)
            if edits and not ask_overwrite(self._parent, edits, staging.entry.request.mpp):
                return
        self._controller.staged.apply()
        self._set_contour(_OUTLINE)

    def make_way(self, staging: Staging | None) -> None:
        """Show the paint as outlines when variants begin to wait: they lie below it."""
        is_staged = staging is not None
        if is_staged and not self._was_staged:
            self._set_contour(_OUTLINE)
        self._was_staged = is_staged

    def toggle_outlines(self) -> None:
        """Show the paint as outlines, or filled again."""

        def toggle() -> None:
            layers = self._workspace.document.paint_layers
            self._set_contour(_OUTLINE if any(layer.contour == 0 for layer in layers) else 0)

        self._attempt(toggle)

    def ask_new_canvas(self) -> None:
        """Ask for a size and make an empty slide."""
        form = new_canvas_form(self._viewer, self._workspace.snap)
        if FormDialog(self._parent, "New canvas", form).exec() == QDialog.DialogCode.Accepted:
            self._attempt(form)

    def use_selected(self) -> None:
        """Work on the selected image, or on the only one there is."""
        ours = [*self._workspace.own_layers, self._controller.staged.preview.layer]
        images = [x for x in self._viewer.layers if isinstance(x, Image) and x not in ours]
        active = self._viewer.layers.selection.active
        if isinstance(active, Image) and active in ours:
            show_warning(
                f"'{active.name}' lies over the image and is no image of its own; select the one "
                "below it in the layer list, then press it again."
            )
            return
        chosen = active if isinstance(active, Image) else None
        chosen = images[0] if chosen is None and len(images) == 1 else chosen
        if chosen is None:
            show_warning("Select an image layer in the layer list first, then press it again.")
            return
        self._attempt(lambda: self._workspace.use_layer(chosen))

    def resample(self) -> None:
        """Work on a copy of an image that is too fine for the model, at what the model knows."""
        self._controller.refresh_plan()
        mpp = self._controller.plan.resample_to
        if mpp is None:
            show_info("This image needs no resampling, or the model is not loaded yet.")
            return

        def work_on_copy() -> None:
            copy = resampled(open_target(self._workspace.target, self._viewer), mpp)
            self._viewer.add_layer(copy)
            self._workspace.use_layer(copy)

        self._attempt(work_on_copy)

    def frame_to_view(self) -> None:
        """Put the frame in the middle of what the canvas shows, at the level it shows."""
        target = self._workspace.target
        if target is None:
            show_warning("Make a canvas or use an image layer first.")
            return
        centre = to_data(self._viewer, target, camera_of(self._viewer).center)
        document = self._workspace.document
        level, old = document.level_in_view(), document.region
        middle = ((c + 0.5) / (1 << level) for c in centre)  # 0 is the first pixel's edge
        y, x = (round(c - n / 2) for c, n in zip(middle, old.shape, strict=True))
        self._attempt(lambda: document.set_frame(Region(level, y, x, *old.shape)))

    def set_level(self, level: int) -> None:
        """Edit at another level of the slide."""
        self._attempt(lambda: self._workspace.document.set_level(level))

    def set_pixel_size(self, mpp: float) -> None:
        """Say how many micrometres a pixel of the image is."""
        self._attempt(lambda: self._workspace.set_pixel_size(mpp))

    def resize_frame(self, height: int, width: int) -> None:
        """Give the frame another size; its corner stays."""

        def resize() -> None:
            document = self._workspace.document
            document.set_frame(replace(document.region, height=height, width=width))

        self._attempt(resize)

    def select_class(self, class_id: int) -> None:
        """Paint nuclei of a class."""
        self._attempt(lambda: self._workspace.select_class(class_id))

    def select_tissue(self, tissue_id: int) -> None:
        """Paint a tissue."""
        self._attempt(lambda: self._workspace.select_tissue(tissue_id))

    def select_palette(self, name: str) -> None:
        """Paint "nuclei" or "tissue"."""
        self._attempt(lambda: self._workspace.select_palette(name))

    def set_brush(self, width: float) -> None:
        """Give the brush in hand a width in um."""
        self._attempt(lambda: self._workspace.set_brush(width))

    def step_brush(self, by: int) -> None:
        """Make the brush in hand wider, or narrower for -1."""
        self._attempt(lambda: self._workspace.step_brush(by))

    def step_nucleus(self, by: int) -> None:
        """Take the tool Select in hand and select the next nucleus, or the previous one for -1."""

        def step() -> None:
            self._workspace.select_tool("select")
            self._workspace.document.tools.selection.step(by)

        self._attempt(step)

    def edit_nuclei(self, change: Callable[[NucleusSelection], object]) -> None:
        """Change the nuclei that are selected; says how to select some when none are."""

        def edit() -> None:
            selection = self._workspace.document.tools.selection
            if selection.picked:
                change(selection)
            else:
                show_info("No nucleus is selected; take Select (V) and click one.")

        self._attempt(edit)

    def select_tool(self, name: str) -> None:
        """Take a tool in hand."""
        self._attempt(lambda: self._workspace.select_tool(name))

    def fill_area(self) -> None:
        """Fill the edit mask, or the frame, with the nuclei of its tissue or the selected class."""
        caption = self._controller.settings.caption
        self._attempt(lambda: self._workspace.fill_area(caption).then(_tell_error))

    def ask_import(self) -> None:
        """Ask which Labels layer becomes nuclei."""
        layers = self._labels_of_others()
        if not layers:
            show_warning("There is no other Labels layer; open or drop one into napari first.")
            return
        form = import_form(self._viewer, layers)
        note = "What lies outside the frame is left out; the paint in the frame is replaced."
        dialog = FormDialog(self._parent, "Import labels", form, note)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            layer, nuclei_are = form["layer"].value, form["nuclei_are"].value

            def take() -> None:
                meant = class_meant(nuclei_are, layer)
                step = self._workspace.import_labels(layer, meant)
                step.then(lambda done: self._imported(done, layer, meant))

            self._attempt(take)

    def _labels_of_others(self) -> list[Labels]:
        """Return the Labels layers that the user opened or made."""
        own = self._workspace.own_layers
        labels = [x for x in self._viewer.layers if isinstance(x, Labels) and x not in own]
        return [layer for layer in labels if SHOWN not in layer.metadata]

    def ask_import_tissue(self) -> None:
        """Ask which Labels layer or file becomes tissue."""
        form = import_tissue_form(self._viewer, self._labels_of_others())
        note = "What lies outside the frame is left out; tissue painted in it is replaced."
        dialog = FormDialog(self._parent, "Import tissue", form, note)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self._attempt(lambda: import_tissue_asked(self._parent, self._workspace, form))

    def tissue_imported(
        self, error: Exception | None, left_out: Mapping[str, int] | None = None
    ) -> None:
        """Show the tissue that was imported, and say what was left out or went wrong."""
        if error is not None:
            show_trouble(error)
            return
        self.select_palette("tissue")
        self.select_tool(self._workspace.paint.tool)  # back from that layer to the paint
        if left_out:
            reasons = ", ".join(f"{why}: {count}" for why, count in left_out.items())
            show_warning(f"Left out of the tissue: {reasons}.")

    def clear_painting(self) -> None:
        """Remove the nuclei and the edit mask."""
        self._attempt(lambda: self._workspace.document.clear())

    def ask_save(self, entry: HistoryEntry | None = None) -> None:
        """Ask what to save and where; says so when there is nothing."""
        controller = self._controller
        choices = controller.saving.choices(entry)
        if not choices:
            show_warning("There is nothing to save yet; generate something first.")
            return
        form = save_form(choices, controller.settings.export_folder)
        note = "Nothing is overwritten: each file has the next free number."
        if FormDialog(self._parent, "Save", form, note).exec() == QDialog.DialogCode.Accepted:
            # PySide keeps the word of a choice alone.
            folder, what = form["folder"].value, Saved(form["what"].value)
            controller.set(export_folder=str(folder))
            controller.saving.save(folder, controller.status.info, entry, what=what)

    def copy(self, text: str) -> None:
        """Put text on the clipboard."""
        QApplication.clipboard().setText(text)
        show_info("Copied.")

    def copy_python(self, entry: HistoryEntry | None = None) -> None:
        """Copy an edit, the newest when None, as Python code that draws the same pixels."""
        entry = entry or next(iter(self._controller.history.entries), None)
        if entry is None:
            show_warning("There is nothing to copy yet; generate something first.")
            return
        request, controller = entry.request, self._controller
        _, model = controller.saving.drawn_by(request, None, controller.model_folder)
        self._attempt(
            lambda: self.copy(
                python_of(request, model=model, folder=preferences().place("requests"))
            )
        )

    def copy_diagnostics(self) -> None:
        """Put on the clipboard what whoever helps wants to know."""
        status = self._controller.status
        info = status.info
        target = self._workspace.target
        copy_diagnostics(
            status.message,
            engine=status.text(),
            model="none" if info is None else f"{info.name} ({info.revision}), {info.device}",
            image="none" if target is None else self._workspace.document.target.spec,
        )
        show_info("Copied: paste it into your report or message.")

    def _imported(
        self, step: PendingStep, layer: Labels, meant: Mapping[int, int] | int | None
    ) -> None:
        if step.error is not None:
            show_trouble(step.error)
            return
        if step.region is None:
            show_info("The import of labels was cancelled; the paint is as it was.")
            return
        workspace = self._workspace
        layer.visible = False  # it lies on what was painted of it
        self.select_tool(workspace.paint.tool)  # back from that layer to the paint
        counts = workspace.document.nuclei.counts()
        if meant is None and look_like_numbers_of_nuclei(layer, counts):
            show_warning(
                f"The numbers of '{layer.name}' were taken as classes, but look as if each nucleus "
                "had its own. If so, take the import back (Ctrl+Z), import again and choose what "
                "all nuclei are."
            )

    def _set_contour(self, width: int) -> None:
        document = self._workspace.document
        # Whoever works on the mask has it filled again; until then it must not be overlooked.
        wider = {document.edit_mask.layer: _MASK_OUTLINE if width else 0}
        for layer in document.paint_layers:
            wanted = wider.get(layer, width)
            if layer.contour != wanted:  # napari draws anew for the same width, too
                layer.contour = wanted

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except HistodiffError as error:
            show_trouble(error)
            self._show_hand()  # a button pressed in vain does not stay down


def _tell_error(step: PendingStep) -> None:
    if step.error is not None:
        show_trouble(step.error)
