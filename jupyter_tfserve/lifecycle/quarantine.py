"""Versions that take their processes with them, or come to no end: counted, given up, and remembered across restarts.

A version is known by its number and what its files looked like: other files are another version. A load is
noted before it begins and struck out when it is over, so that one which takes the whole engine with it counts
too, and no restart repeats it for ever. One event loop owns it; the file is written in threads.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from jupyter_tfserve.errors import Code, ModelDied, ServingError
from jupyter_tfserve.lifecycle.read_only import why_read_only
from jupyter_tfserve.types import ServableId

log = logging.getLogger(__name__)

FILE_NAME: Final = "quarantine.json"
FORMAT: Final = 1
MAX_LOAD_DEATHS: Final = 2
"""So many loads that end in a death, one after another, are enough."""
MAX_ENGINE_DEATHS: Final = 4
"""So many loads that the engine did not survive. More of them: a model runs in another process, so it is seldom to
blame, and an engine that is killed now and then must not lose its good versions."""
MAX_MARKS: Final = 1000
"""The newest are kept."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is held against a version with these files. `reason` says why it is given up; empty: it is not."""

    fingerprint: str
    deaths: int = 0
    engine_deaths: int = 0
    is_loading: bool = False
    reason: str = ""


class Quarantine:
    """The marks of all versions, kept in `state_dir`; None keeps them in memory.

    So does a folder that cannot be written from the start, of which `StateStore` tells. One that fails later is told
    of in the log, once until it can be written again.
    """

    def __init__(self, state_dir: Path | None = None) -> None:
        self._state_dir = state_dir
        self._marks: dict[ServableId, Mark] = {}
        self._saving = asyncio.Lock()
        self._saves: set[asyncio.Task[None]] = set()
        self._is_failing = False

    async def open(self) -> None:
        """Takes up what was saved; a file that cannot be understood is none."""
        state_dir = self._state_dir
        if state_dir is None:
            return
        self._marks = await asyncio.to_thread(_read, state_dir / FILE_NAME)
        if await asyncio.to_thread(why_read_only, state_dir) is not None:
            self._state_dir = None

    async def close(self) -> None:
        """Returns when all is saved."""
        if self._saves:
            await asyncio.wait(self._saves)

    def given_up(self, model: str) -> Mapping[int, str]:
        """The versions of `model` that are not tried, and the fingerprint that each had."""
        return {s.version: m.fingerprint for s, m in self._marks.items() if s.name == model and m.reason}

    def refusal(self, servable: ServableId, fingerprint: str) -> ServingError | None:
        """Why this version with these files is not tried; None if it may be."""
        reason = self._mark(servable, fingerprint).reason
        return ServingError(Code.UNAVAILABLE, reason) if reason else None

    async def load_begins(self, servable: ServableId, fingerprint: str) -> ServingError | None:
        """None, and the load is noted on disk; or why it must not begin."""
        mark = self._mark(servable, fingerprint)
        if mark.is_loading and not mark.reason:
            mark = _with_engine_death(mark)
        self._marks[servable] = mark if mark.reason else replace(mark, is_loading=True)
        await self._save()
        return self.refusal(servable, fingerprint)

    def load_failed(self, servable: ServableId, error: ServingError) -> ServingError:
        """Counts a death among failed loads; the error to show, which tells of the quarantine if it came to that."""
        mark = self._marks.get(servable)
        if mark is None or not isinstance(error, ModelDied):
            return error
        mark = self._marks[servable] = _with_death(mark, error.message)
        return ServingError(error.code, mark.reason) if mark.reason else error

    def load_ended(self, servable: ServableId, is_good: bool) -> None:
        """The load is over, and the engine still there."""
        mark = self._marks.get(servable)
        if mark is None:
            return
        if is_good or not (mark.deaths or mark.engine_deaths or mark.reason):
            del self._marks[servable]
        else:
            self._marks[servable] = replace(mark, is_loading=False)
        self._save_soon()

    def give_up(self, servable: ServableId, fingerprint: str, reason: str) -> None:
        """From now on this version with these files is not tried."""
        self._marks[servable] = Mark(fingerprint, reason=reason)
        self._save_soon()

    def lift(self, servable: ServableId) -> None:
        """Whatever was held against the version is forgotten."""
        if self._marks.pop(servable, None) is not None:
            self._save_soon()

    def _mark(self, servable: ServableId, fingerprint: str) -> Mark:
        mark = self._marks.get(servable)
        return mark if mark is not None and mark.fingerprint == fingerprint else Mark(fingerprint)

    def _save_soon(self) -> None:
        if self._state_dir is None:
            return
        task = asyncio.get_running_loop().create_task(self._save())
        self._saves.add(task)
        task.add_done_callback(self._saves.discard)

    async def _save(self) -> None:
        state_dir = self._state_dir
        if state_dir is None:
            return
        async with self._saving:
            entries = [
                {"model": servable.name, "version": servable.version, **asdict(mark)}
                for servable, mark in list(self._marks.items())[-MAX_MARKS:]
            ]
            try:
                await asyncio.to_thread(_write, state_dir, entries)
                self._is_failing = False
            except OSError as error:
                # A full disk must not keep a good model from being loaded.
                if not self._is_failing:
                    log.warning("the quarantine cannot be saved: %s", error.strerror)
                self._is_failing = True


class Deaths:
    """The recent deaths of one running version: `limit` of them within `window_s` are too many; 0: never.

    `what` they are called.
    """

    def __init__(self, limit: int, window_s: float, what: str = "deaths") -> None:
        self._what = what
        self._limit = limit
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=limit or None)

    def are_too_many(self, now: float) -> bool:
        """Counts one that happens now."""
        if self._limit <= 0:
            return False
        self._times.append(now)
        return len(self._times) == self._limit and now - self._times[0] <= self._window_s

    def reason(self, last: str) -> str:
        """What a person is told."""
        return f"Quarantined after {self._limit} {self._what} within {self._window_s:g} s; the last: {last}"


def _with_death(mark: Mark, how: str) -> Mark:
    deaths = mark.deaths + 1
    reason = _reason(deaths, how) if deaths >= MAX_LOAD_DEATHS else ""
    return replace(mark, deaths=deaths, is_loading=False, reason=reason)


def _with_engine_death(mark: Mark) -> Mark:
    deaths = mark.engine_deaths + 1
    reason = _reason(deaths, "the engine ended too") if deaths >= MAX_ENGINE_DEATHS else ""
    return replace(mark, engine_deaths=deaths, is_loading=False, reason=reason)


def _reason(deaths: int, how: str) -> str:
    return f"Quarantined after {deaths} deaths while it was loaded; the last: {how}"


def _read(path: Path) -> dict[ServableId, Mark]:
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != FORMAT:
            return {}
        return {ServableId(e.pop("model"), e.pop("version")): Mark(**e) for e in document["versions"]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        log.warning("the saved quarantine could not be understood and is forgotten")
        return {}


def _write(state_dir: Path, entries: list[dict[str, object]]) -> None:
    # No fsync: it is the engine's own death that must not erase it, not a power cut.
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = state_dir / f"{FILE_NAME}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps({"format": FORMAT, "versions": entries}).encode())
    os.replace(temporary, state_dir / FILE_NAME)
