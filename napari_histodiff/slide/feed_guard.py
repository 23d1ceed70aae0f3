"""Whether a tile feed may draw, and if not, what to tell the user."""

from __future__ import annotations

from typing import Final

from napari_histodiff.core.engine import Engine, EngineEvent, EngineState, EngineStateChanged
from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.slide.store import SlideStore

__all__ = ["FeedGuard"]

# States that begin or end what hinders a feed.
_TELLING: Final = (EngineState.READY, EngineState.DEAD, EngineState.CLOSED)

_DEAD: Final = "the engine is not running; start it again to draw tiles"
_CLOSED: Final = "the engine was closed; open the slide again to draw tiles"


class FeedGuard:
    """Keeps a feed from drawing while it is paused, or where it can not or must not draw.

    Parameters
    ----------
    store : SlideStore
        The slide.
    engine : Engine
        What draws.

    Attributes
    ----------
    paused : bool
        Whether the user, or a fault, made it pause.
    is_dead : bool
        Whether the engine will run no job until it is started again.
    """

    def __init__(self, store: SlideStore, engine: Engine) -> None:
        self._store = store
        self._engine = engine
        self._fault = ""
        self._dead = _DEAD if engine.state is EngineState.DEAD else ""
        self.paused = False

    @property
    def is_dead(self) -> bool:
        """Whether the engine will run no job until it is started again."""
        return bool(self._dead)

    @property
    def message(self) -> str:
        """Why nothing can be drawn, with the next step; empty when it can."""
        if self._fault:
            return self._fault
        if self._store.read_only:
            return "the slide is open for reading only; open it for writing to draw tiles"
        if self._dead:
            return self._dead
        recipe, info = self._store.recipe, self._engine.info
        if info is not None and info.revision != recipe.revision:
            return (
                f"expected the model of this slide, {recipe.model} ({recipe.revision}), got "
                f"{info.name} ({info.revision}); choose that model, or start a new slide"
            )
        return ""

    @property
    def may_draw(self) -> bool:
        """Whether a block may be begun."""
        return not self.paused and not self.message

    def pause(self, paused: bool) -> None:
        """Pause or go on; either forgets the last fault."""
        self.paused = paused
        self._fault = ""

    def stop(self, fault: str) -> None:
        """Pause because of a fault."""
        self.paused = True
        self._fault = fault

    def lose_engine(self, reason: str) -> None:
        """Draw nothing until the engine says that it is ready."""
        self._dead = reason

    def engine_became(self, event: EngineStateChanged) -> None:
        """Follow the engine's state."""
        if event.state is EngineState.DEAD:
            self._dead = event.message or _DEAD
        elif event.state is EngineState.CLOSED:
            self._dead = _CLOSED
        elif event.state is EngineState.READY:
            self._dead = ""

    @staticmethod
    def is_idle_talk(event: EngineEvent) -> bool:
        """Return whether an event is a state in which a feed does nothing it did not before."""
        return isinstance(event, EngineStateChanged) and event.state not in _TELLING

    def is_loaded(self) -> bool:
        """Return whether the engine has its model; starts it otherwise."""
        if self._engine.info is not None:
            return True
        try:
            self._engine.start()
        except EngineUnavailable as error:
            self._dead = str(error)
        return False

    def drew(self, revision: str) -> bool:
        """Return whether what the engine just finished is by the model of this revision."""
        info = self._engine.info
        return info is not None and info.revision == revision
