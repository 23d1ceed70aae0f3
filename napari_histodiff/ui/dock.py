"""The dock "Histodiff Studio": sections in a column, the main button always in view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_histodiff.core.engine import Engine
from napari_histodiff.ui.actions import StudioActions
from napari_histodiff.ui.anomaly.mapper import AnomalyMapper
from napari_histodiff.ui.bindings import bind_dock, bind_keymap
from napari_histodiff.ui.colormaps import PALETTE, TISSUE_PALETTE
from napari_histodiff.ui.command import real_viewer
from napari_histodiff.ui.compare.grid.window import VariantGrid
from napari_histodiff.ui.compare.looks import Looks
from napari_histodiff.ui.compare.readings import Readings
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.engines import default_engine
from napari_histodiff.ui.generation.plan import FramePlan
from napari_histodiff.ui.generation.presets import Presets
from napari_histodiff.ui.generation.second import SecondModel
from napari_histodiff.ui.generation.settings import SeedMode, Settings, SettingsStore
from napari_histodiff.ui.generation.states import EngineStatus
from napari_histodiff.ui.history.archive import Archive
from napari_histodiff.ui.history.past import Past
from napari_histodiff.ui.history.returning import Returning
from napari_histodiff.ui.layouts.box import CheckAndChange
from napari_histodiff.ui.layouts.maker import LayoutMaker
from napari_histodiff.ui.live.live import LivePainting
from napari_histodiff.ui.masks.context import ContextOutline
from napari_histodiff.ui.masks.mask_tools import MaskTools
from napari_histodiff.ui.masks.recipes import Recipes
from napari_histodiff.ui.paint_actions import PaintActions
from napari_histodiff.ui.preload import preload_later
from napari_histodiff.ui.project.part import ProjectPart
from napari_histodiff.ui.proposals.box import ProposalBox
from napari_histodiff.ui.proposals.proposer import Proposer
from napari_histodiff.ui.queue.part import QueuePart
from napari_histodiff.ui.slide.part import SlidePart
from napari_histodiff.ui.starting.garbage import KeptObjects
from napari_histodiff.ui.starting.preferences import preferences
from napari_histodiff.ui.starting.welcome import Welcome
from napari_histodiff.ui.viewport import show_scale_bar
from napari_histodiff.ui.widgets.canvas_box import CanvasBox
from napari_histodiff.ui.widgets.caption_box import CaptionBox
from napari_histodiff.ui.widgets.docked import DockedWidget
from napari_histodiff.ui.widgets.forms import Section
from napari_histodiff.ui.widgets.history_box import HistoryBox
from napari_histodiff.ui.widgets.notices import show_notice, show_warning
from napari_histodiff.ui.widgets.palette_box import PaletteBox, ToolsBox
from napari_histodiff.ui.widgets.presets_menu import PresetsMenu
from napari_histodiff.ui.widgets.readout import Readout
from napari_histodiff.ui.widgets.run_box import RunBox
from napari_histodiff.ui.widgets.settings_box import SettingsBox
from napari_histodiff.ui.widgets.status import Activity, StatusLine
from napari_histodiff.ui.widgets.style import dock_style
from napari_histodiff.ui.workspace.workspace import Workspace

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

__all__ = ["StudioDock"]

#: Milliseconds between two looks into the controller's mailbox.
_PUMP: Final = 33

#: Milliseconds that a tooltip stays.
_TOOLTIP: Final = 120_000

#: What begins folded away; and more of it on a screen of fewer pixels than all sections need.
_RARE: Final = ("Check and change",)
_SMALL: Final = 1000
_FOLDED: Final = ("Canvas", "Slide", "History", *_RARE)


class StudioDock(DockedWidget):
    """Everything a user needs to turn paint into tissue.

    Parameters
    ----------
    napari_viewer : napari Viewer
        The viewer the dock stands in.
    engine : Engine, optional
        Another engine than a worker process on this machine; the dock starts and closes it.
    store : SettingsStore, optional
        Another place to remember settings.
    judge : sequence of str, optional
        Another program that proposes nuclei than the bundled judge.
    """

    def __init__(
        self,
        napari_viewer: Viewer,
        *,
        engine: Engine | None = None,
        store: SettingsStore | None = None,
        judge: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        napari_viewer = real_viewer(napari_viewer)
        self.workspace = Workspace(napari_viewer)
        self.controller = Controller(
            napari_viewer, self.workspace, engine or default_engine(), store=store
        )
        self.second = SecondModel(self.controller)
        self.masks = MaskTools(napari_viewer, self.workspace, self.controller)
        self.readings = Readings(self.controller, judge)
        self.looks = Looks(napari_viewer, self.workspace, self.controller)
        self.grid = VariantGrid(self, self.workspace, self.controller)
        self.context = ContextOutline(
            napari_viewer, lambda layer: bind_keymap([layer], napari_viewer)
        )
        kept = store or SettingsStore()
        budget = preferences().history_mb * 2**20
        self.past = Past(self.controller.history, Archive(kept.folder("history"), budget))
        self.proposer = Proposer(napari_viewer, self.workspace, judge)
        self.recipes = Recipes(self.workspace, self.controller, self.masks, self.proposer)
        self.anomaly = AnomalyMapper(napari_viewer, self.workspace, self.controller, judge)
        self.layouts = LayoutMaker(self.workspace, self.controller)
        self.viewer = napari_viewer
        self._activity = Activity(self)
        self._kept = KeptObjects(napari_viewer)
        self._measured: Image | None = None
        self.workspace.paint.recall(**self.controller.settings.hand)
        self._make_sections()
        self.slide = SlidePart(napari_viewer, self.workspace, self.controller, self)
        shared = (napari_viewer, self.workspace, self.controller, self.past)
        self.project = ProjectPart(self, *shared, self.slide, kept.folder("sessions"))
        self.presets = Presets(kept.folder("presets"))
        self.returning = Returning(*shared, self.slide.open_slide, show_warning)
        self.queue = QueuePart(self.controller, self.returning)
        self.live = LivePainting(self.workspace, self.controller)
        self.actions = StudioActions(
            self,
            napari_viewer,
            self.workspace,
            self.controller,
            self.proposer,
            presets=self.presets,
            commit=self._commit,
            focus_caption=self.caption.edit.setFocus,
            show_hand=self._show_hand,
        )
        self.paint = PaintActions(self.actions, self.slide.hand, self.workspace.paint)
        self._lay_out()
        self._show_theme()
        napari_viewer.events.theme.connect(self._show_theme)
        self._connect_controller()
        self._connect_proposer()
        self._connect_workspace()
        self._connect_sections()
        bind_keymap([napari_viewer], napari_viewer)
        bind_dock(self)
        for widget in self.findChildren(QWidget):  # long ones would be gone before they are read
            widget.setToolTipDuration(_TOOLTIP)
        self._timer = QTimer(self)
        self._timer.setInterval(_PUMP)
        asked = (self.controller, self.live, self.proposer, self.readings, self.layouts)
        for part in (*asked, self.slide, self.project, self.anomaly, self.second):
            self._timer.timeout.connect(part.pump)
        for reader in (self.workspace, self.masks, self.past):
            self._timer.timeout.connect(reader.deliver)
        self._timer.start()
        # Not methods of this widget: they must outlive it. The slide needs the engine to the end.
        first = (self.anomaly, self.layouts, self.project, self.slide, self.live, self.proposer)
        for closing in (*first, self.readings, self.controller, self.past, self.second, self._kept):
            self.destroyed.connect(closing.close)
        self.controller.start()
        preload_later(self, self.viewer, self._kept.leave_out)
        self._show_all()

    def sizeHint(self) -> QSize:
        """Ask for a narrow column."""
        return QSize(360, 820)

    def shut_down(self) -> None:
        """Stop listening and close the engine; idempotent."""
        self._timer.stop()
        self._activity.close()
        self.readout.close_readout()
        self.grid.close()
        self.project.close()
        self.slide.close()
        drawing = (self.anomaly, self.live, self.proposer, self.layouts, self.readings, self.second)
        for part in (*drawing, self.controller, self.past, self._kept):
            part.close()

    # ------------------------------------------------------------------ layout
    def _make_sections(self) -> None:
        self.status = StatusLine()
        self.welcome = Welcome()
        self.canvas = CanvasBox()
        self.palette_box = PaletteBox(PALETTE, TISSUE_PALETTE)
        self.tools = ToolsBox(self.workspace.paint.density)
        self.proposal = ProposalBox()
        self.checks = CheckAndChange(self.anomaly, self.layouts)
        self.caption = CaptionBox()
        self.settings = SettingsBox()
        self.history = HistoryBox()
        self.run = RunBox()
        self.readout = Readout(self.viewer, self.workspace)

    def _lay_out(self) -> None:
        self.tools.foot.insertWidget(0, self.proposal.main)
        self.palette_box.body.addWidget(self.tools)
        self.palette_box.body.addWidget(self.proposal)
        self._sections: tuple[Section, ...] = (
            self.canvas,
            self.slide.box,
            self.palette_box,
            self.caption,
            self.settings,
            self.checks,
            self.history,
        )
        self._fold()
        for section in self._sections:
            section.toggled.connect(self._remember_folds)
        below = (self.queue.box, self.run, self.readout)
        self.stack((self.welcome, *self._sections), 2, above=(self.status,), below=below)
        self.setMinimumWidth(360)

    def _fold(self) -> None:
        """Fold away what the user did, or on a small screen what the main path goes without."""
        folded = self.controller.settings.folded
        if folded is None:
            screen = QApplication.primaryScreen()
            small = screen is not None and screen.availableGeometry().height() < _SMALL
            folded = _FOLDED if small else _RARE
        for section in self._sections:
            section.set_folded(folded=section.title in folded)

    def _remember_folds(self, *_: object) -> None:
        folded = tuple(s.title for s in self._sections if not s.isExpanded())
        self.controller.set(folded=folded)

    # ------------------------------------------------------------- connections
    def _connect_controller(self) -> None:
        c = self.controller
        c.status_changed.connect(self._show_status)
        c.plan_changed.connect(self._show_plan)
        c.drawing.run_changed.connect(self.run.set_run)
        c.drawing.run_changed.connect(self._activity.set_run)
        self.second.run_changed.connect(self.run.set_run)
        c.staging_changed.connect(self.run.set_staging)
        self.live.said.connect(self.run.set_live)
        c.staging_changed.connect(self.actions.make_way)
        c.drawn.connect(self.past.add)
        self.past.changed.connect(self._show_history)
        self.past.troubled.connect(show_warning)
        c.settings_changed.connect(self._show_settings)
        c.counts_changed.connect(self.palette_box.nuclei.set_counts)
        c.tissue_changed.connect(self.palette_box.tissue.set_shares)

    def _connect_proposer(self) -> None:
        self.proposer.state_changed.connect(self.proposal.set_state)
        for part in (self.controller, self.proposer, self.layouts):
            part.noticed.connect(show_notice)
        self.proposal.least_changed.connect(self.proposer.set_least)

    def _connect_workspace(self) -> None:
        w = self.workspace
        w.target_changed.connect(self._show_target)
        w.target_changed.connect(self.context.remove)
        w.frame_changed.connect(self._show_frame)
        w.pixels_changed.connect(self._show_undo)
        w.doing.changed.connect(self.run.set_doing)
        w.doing.changed.connect(self._show_undo)
        w.tool_changed.connect(self.tools.select)
        w.brush_changed.connect(self.tools.brush.set_value)
        w.palette_changed.connect(self.palette_box.show_palette)
        w.class_changed.connect(self.palette_box.nuclei.select)
        w.tissue_changed.connect(self.palette_box.tissue.select)
        w.class_changed.connect(lambda class_id: self.controller.set(class_id=class_id))
        w.tissue_changed.connect(lambda tissue_id: self.controller.set(tissue_id=tissue_id))

    def _connect_sections(self) -> None:
        c, w, a = self.controller, self.workspace, self.actions
        self.canvas.set_recent(self.slide.recent)
        self.canvas.size_changed.connect(a.resize_frame)
        self.canvas.pixel_size_told.connect(a.set_pixel_size)
        self.canvas.level_chosen.connect(a.set_level)
        self.tools.brush_changed.connect(a.set_brush)
        self.tools.density_changed.connect(lambda value: setattr(w.paint, "density", value))
        self.tools.density_changed.connect(lambda value: c.set(density=value))
        self.project.offered.connect(self.welcome.set_offer)
        menu = PresetsMenu(self.settings, self.presets, lambda: self.past.entries)
        self.settings.presets.setMenu(menu)
        menu.chosen.connect(a.use_preset)
        self.caption.changed.connect(lambda text: c.set(caption=text))
        self.caption.regions.changed.connect(lambda said: c.set(region_captions=said))
        self.settings.changed.connect(lambda change: c.set(**change))
        self.settings.steering.serve(c)
        self.readings.changed.connect(self.run.readings.set_reading)
        self.run.readings.divided.connect(self.looks.divide)
        self.palette_box.mask.changed.connect(lambda change: c.set(**change))
        self.returning.serve(self.history, a)

    # -------------------------------------------------------------------- show
    def _show_all(self) -> None:
        self._show_status(self.controller.status)
        self._show_settings(self.controller.settings)
        self._show_target()
        self._show_plan(self.controller.plan)
        self._show_hand()

    def _show_hand(self) -> None:
        paint = self.workspace.paint
        self.palette_box.show_palette(paint.palette)
        self.palette_box.nuclei.select(paint.class_id)
        self.palette_box.tissue.select(paint.tissue_id)
        self.tools.select(paint.tool)

    def _show_theme(self, *_: object) -> None:
        self.setStyleSheet(dock_style(self.viewer.theme))

    def _show_status(self, status: EngineStatus) -> None:
        self.status.set_status(status)
        self.palette_box.set_info(status.info)
        self.caption.set_info(status.info)
        if status.info is not None:
            self.workspace.snap = status.info.multiple_of
            self.canvas.set_snap(status.info.multiple_of)

    def _show_plan(self, plan: FramePlan) -> None:
        self.run.set_plan(plan)
        self.settings.set_plan(plan)
        self.palette_box.mask.set_plan(plan)
        self.proposal.set_possible(plan.has_pixels)
        if self.workspace.target is not None:
            self.context.show_for(self.workspace.document, self.controller.settings.context)

    def _show_history(self) -> None:
        self.history.set_entries(self.past.entries)
        self.caption.set_recent(kept.facts.caption for kept in self.past.entries)

    def _show_settings(self, settings: Settings) -> None:
        self.caption.set_caption(settings.caption)
        self.caption.regions.set_captions(settings.region_captions)
        self.palette_box.mask.set_settings(settings)
        self.settings.set_settings(self.controller.settings_here)
        self.run.live.setChecked(settings.live)

    def _show_target(self, *_: object) -> None:
        self.settings.set_settings(self.controller.settings_here)
        target = self.workspace.target
        self.welcome.setVisible(target is None)
        if target is None:
            self.canvas.set_target("", 0, 0, 0.5)
            self.canvas.set_levels(())
            self.canvas.set_region(None, 0.5)
            return
        bind_keymap(self.workspace.own_layers, self.viewer)
        self._measure(target)
        shape = (target.data[0] if target.multiscale else target.data).shape
        image = self.workspace.document.target
        self.canvas.set_target(
            target.name,
            shape[0],
            shape[1],
            image.mpp,
            knows_mpp=image.knows_mpp,
            is_told=image.is_told,
            magnification=target.metadata.get("magnification"),
        )
        self.canvas.set_levels(image.mpps)
        self._show_hand()
        self._show_frame()
        self._show_undo()

    def _measure(self, target: Image) -> None:
        if target is not self._measured:  # once an image: whoever hides the bar has it hidden
            self._measured = target
            show_scale_bar(self.viewer)
            caption = self.workspace.document.target.caption
            if caption is not None:  # what a slide was drawn by, not the last session's
                self.controller.set(caption=caption)

    def _show_frame(self, *_: object) -> None:
        if self.workspace.target is not None:
            document = self.workspace.document
            self.canvas.set_region(document.region, document.mpp)

    def _show_undo(self, *_: object) -> None:
        w = self.workspace
        self.run.set_undo(can_undo=w.can_undo, can_redo=w.can_redo)

    def _commit(self) -> None:
        typed = self.settings.take_typed()
        if typed["seed"] != self.controller.settings.seed:
            typed["seed_mode"] = SeedMode.FIXED
        self.controller.set(
            caption=self.caption.take_typed(),
            region_captions=self.caption.regions.captions,
            **typed,
        )
