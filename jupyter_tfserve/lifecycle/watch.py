"""Keeps looking at one model's folder and hands what it finds to the manager.

Each model has its own watch, so a missing folder or a hung disk of one model stops no other (upstream
abandons the whole poll). The file work runs in a thread; the watch itself lives on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.clock import Clock, sleep_or_event
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.source import Look, Source
from jupyter_tfserve.lifecycle.states import AspiredVersion, VersionStatus

log = logging.getLogger(__name__)

HOLD_S: Final = 300.0
"""How long a version is loaded for a label that then never comes."""

Publish: TypeAlias = Callable[[str, "Look | None"], None]
GivenUp: TypeAlias = Callable[[str], Mapping[int, str]]
LiveVersions: TypeAlias = Callable[[str], Mapping[int, AspiredVersion]]


@dataclass(frozen=True, slots=True)
class WatchContext:
    """What all watches share: who is told of each look (None: it failed), what is live, and the time.

    `period_s` as --file_system_poll_wait_seconds: 0 looks once, a negative one never by itself.
    """

    publish: Publish
    live_versions: LiveVersions
    clock: Clock
    period_s: float
    settle_s: float
    given_up: GivenUp = lambda _model: {}


class ModelWatch:
    """One model's looks, and what became of its first version."""

    def __init__(self, config: ModelConfig, context: WatchContext) -> None:
        self.config = config
        self.has_looked = False
        self.unsettled: frozenset[int] = frozenset()
        """Versions that hold a model but still change: another look follows by itself."""
        self.problem: ServingError | None = None
        """Why the last look failed; the versions stay as they are then."""
        self.first_outcome: VersionStatus | None = None
        """The first version of the model that was up or failed; None as long as there is none."""
        self.is_first_load_over = False
        """Every version that was wanted at first has been up or has failed."""
        self._context = context
        self._held: dict[int, float] = {}
        self._source = _source(config, context)
        self._looking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    def start(self) -> None:
        """Begins to look. REQUIRES: a running loop; once."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"watch {self.config.name}")

    def stop(self) -> None:
        """Looks no more; a look under way hands nothing over any more."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()

    def reconfigure(self, config: ModelConfig) -> None:
        """Takes the new configuration, and looks at once if other folders may be wanted now."""
        is_elsewhere = config.location != self.config.location
        self.config = config
        if is_elsewhere:
            self._let_go(config.kept_versions)
            self._wake.set()

    def hold(self, version: int) -> None:
        """Wants `version` too, until a label keeps it, for HOLD_S at most; looks at once."""
        self._held[version] = self._context.clock.monotonic() + HOLD_S
        self._let_go(frozenset())
        self._wake.set()

    def _let_go(self, versions: frozenset[int]) -> None:
        self._held = {version: until for version, until in self._held.items() if version not in versions}
        self._source = _source(self.config, self._context, frozenset(self._held))

    def _let_go_expired(self) -> None:
        now = self._context.clock.monotonic()
        expired = frozenset(version for version, until in self._held.items() if until <= now)
        if expired:
            self._let_go(expired)

    def look_soon(self) -> None:
        """Another look follows at once, by itself."""
        self._wake.set()

    @property
    def is_look_asked(self) -> bool:
        """Whether a look follows at once that has not begun."""
        return self._wake.is_set()

    @property
    def is_look_due(self) -> bool:
        """Whether a look is under way, or follows at once."""
        return self.is_look_asked or self._looking.locked()

    async def look(self) -> None:
        """Looks now; ServingError if the base path cannot be listed."""
        async with self._looking:
            source = await self._look_once()
            # The configuration may change while the thread lists the old folder: that look is void.
            while source is not self._source:
                source = await self._look_once()
        if self.unsettled:
            self._wake.set()
        if self.problem is not None:
            raise self.problem

    async def _look_once(self) -> Source:
        self._let_go_expired()
        source, context = self._source, self._context
        live, given_up = context.live_versions(self.config.name), context.given_up(self.config.name)
        look, problem = None, None
        try:
            now, wall = context.clock.monotonic(), context.clock.wall()
            look = await asyncio.to_thread(source.look, live, now, wall, given_up)
        except ServingError as error:
            problem = error
        except Exception:
            # The loop that supervises a folder must not end by a look that went wrong in a new way.
            log.exception("looking for versions of %s failed", self.config.name)
            problem = ServingError(Code.INTERNAL, f"Looking for versions of {self.config.name} failed")
        if source is self._source and not self._is_stopped:
            self._take(look, problem)
        return source

    def _take(self, look: Look | None, problem: ServingError | None) -> None:
        if problem is not None and (self.problem is None or problem.message != self.problem.message):
            log.warning("%s", problem.message)
        self.problem = problem
        self.has_looked = True
        self.unsettled = frozenset() if look is None else look.unsettled
        self._context.publish(self.config.name, look)

    async def _run(self) -> None:
        """Looks for ever, at the pace of the options."""
        if self._context.period_s < 0:
            await self._wake.wait()
        while True:
            self._wake.clear()
            async with self._looking:
                await self._look_once()
            await sleep_or_event(self._context.clock, self._pause_s(), self._wake)

    def _pause_s(self) -> float | None:
        """How long until the next look by itself; None is never."""
        pauses = [self._context.period_s] if self._context.period_s > 0 else []
        if self.unsettled:
            pauses.append(self._context.settle_s)
        if self._held:
            pauses.append(max(min(self._held.values()) - self._context.clock.monotonic(), 0.0))
        return min(pauses, default=None)


def _source(config: ModelConfig, context: WatchContext, held: frozenset[int] = frozenset()) -> Source:
    return Source(config, context.settle_s, held)
