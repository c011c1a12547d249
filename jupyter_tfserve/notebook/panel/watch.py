"""What a panel asks the engine about once a second, whichever engine runs for this kernel then. Blocking."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.client_figures import Figures
from jupyter_tfserve.engine.client_state import Json, ModelState
from jupyter_tfserve.engine.connection import is_alive
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.discovery import START_HINT, Engine
from jupyter_tfserve.notebook.events import MAX_EVENTS, Event, parse_events
from jupyter_tfserve.notebook.handle import ServerHandle
from jupyter_tfserve.notebook.jupyter_server import ExtensionMissing
from jupyter_tfserve.notebook.panel.snapshot import NO_FIGURES, Problem, Snapshot
from jupyter_tfserve.notebook.waiting import with_failures
from jupyter_tfserve.types import parse_version

LOG_LINES: Final = 12
REPLY_TIMEOUT_S: Final = 5.0


class EngineWatch:
    """One engine as a panel sees it; when that has gone for good, the one that `find` finds instead.

    Used by one thread at a time.
    """

    def __init__(self, engine: Engine, find: Callable[[], Engine | None]) -> None:
        self._engine = engine
        self._find = find
        self._handle = ServerHandle(engine)
        self._last = Snapshot()
        self._newest: list[Json] | None = None
        self._events: tuple[Event, ...] = ()

    @property
    def engine(self) -> Engine:
        """The one that was seen last."""
        return self._engine

    def look(self, wants_log: bool = False) -> Snapshot:
        """The engine now; if it cannot be asked, what was known of it and why."""
        try:
            self._last = self._look(wants_log)
        except ServingError as error:
            self._keep(error.message, error.hint or "")
        except ExtensionMissing as missing:
            self._keep(f"The engine cannot be reached: {missing}.", "`%tfserve doctor` looks for the reason.")
        except (LookupError, TypeError, ValueError):
            # Another release's document.
            self._keep(
                "The engine's answer is not understood.", "Start it anew: `%tfserve stop`, then start."
            )
        return self._last

    def _keep(self, message: str, hint: str) -> None:
        """What was known stays, with the reason why there is nothing newer."""
        self._last = replace(self._last, time=time.time(), problem=Problem(message, hint))

    def _look(self, wants_log: bool) -> Snapshot:
        self._follow()
        client = self._handle.client
        state = with_failures(client.state(REPLY_TIMEOUT_S))
        return Snapshot(
            time=time.time(),
            state=state,
            figures=_figures(client),
            events=self._events_of(client),
            in_folder={model.name: _versions_in(model) for model in state.models},
            log=self._handle.logs(LOG_LINES) if wants_log else "",
            owner=self._engine.owner,
        )

    def _events_of(self, client: ControlClient) -> tuple[Event, ...]:
        """All events that there are, read anew only when there is a newer one."""
        newest = client.history(1)
        if newest != self._newest:
            self._events = parse_events(client.history(MAX_EVENTS)).events
            self._newest = newest
        return self._events

    def _follow(self) -> None:
        """Returns when an engine runs; never waits for one, so that the panel can say what is the matter."""
        if _runs(self._engine):
            return
        if self._engine.is_coming_back():
            raise ServingError(
                Code.UNAVAILABLE, "The engine is being started again.", "The panel goes on when it is up."
            )
        other = self._find()
        if other is None or not _runs(other):
            raise ServingError(Code.UNAVAILABLE, "No model server runs for this notebook.", START_HINT)
        self._engine, self._handle = other, ServerHandle(other)


def _runs(engine: Engine) -> bool:
    try:
        return is_alive(engine.connection())
    except ServingError:
        return False


def _figures(client: ControlClient) -> Figures:
    try:
        return client.figures()
    except ServingError as error:
        # An engine of an older release has none.
        if error.code is not Code.NOT_FOUND:
            raise
        return NO_FIGURES


def _versions_in(model: ModelState) -> tuple[int, ...]:
    """The versions that lie in the model's folder, finished or not."""
    try:
        with os.scandir(model.base_path) as entries:
            return tuple(sorted(_numbers(entries)))
    except OSError:
        return ()


def _numbers(entries: Iterable[os.DirEntry[str]]) -> Iterable[int]:
    for entry in entries:
        number = parse_version(entry.name)
        # `policy_with` looks for the plain number.
        if number is not None and str(number) == entry.name and entry.is_dir():
            yield number
