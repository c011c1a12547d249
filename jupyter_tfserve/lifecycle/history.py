"""What happened, as rows of an SQLite file: loads, unloads, labels, policies, crashes, errors.

Writing never waits and never fails serving: one thread owns the database, and a row that cannot be written is
dropped with one line in the log. The newest `max_rows` rows are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jupyter_tfserve.lifecycle.read_only import why_read_only
from jupyter_tfserve.lifecycle.states import LifecycleState

log = logging.getLogger(__name__)

FILE_NAME: Final = "history.sqlite3"
MAX_ROWS: Final = 10_000
MAX_PENDING: Final = 10_000
"""Rows that may wait for a slow disk; more are dropped."""
_TRIM_EVERY: Final = 256
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL,"
    " model TEXT, version INTEGER, detail TEXT NOT NULL)"
)


class EventKind(enum.Enum):
    """What a row is about."""

    LOAD = "load"
    WARMUP = "warmup"
    UNLOAD = "unload"
    LABEL = "label"
    POLICY = "policy"
    CONFIG = "config"
    KEY = "key"
    LIMITS = "limits"
    CRASH = "crash"
    ERROR = "error"


def event_kind(before: LifecycleState | None, after: LifecycleState, message: str) -> EventKind | None:
    """What a change of state is in the history; None for the steps between."""
    match before, after:
        case LifecycleState.LOADING, LifecycleState.AVAILABLE:
            return EventKind.LOAD
        case LifecycleState.LOADING, LifecycleState.LOADING | LifecycleState.END:
            return EventKind.ERROR
        case LifecycleState.AVAILABLE, LifecycleState.UNLOADING if message:
            return EventKind.CRASH
        case LifecycleState.UNLOADING, LifecycleState.END:
            return EventKind.UNLOAD
        case _:
            return None


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One row. `time` in seconds since the epoch; `kind` as `EventKind` spells it."""

    time: float
    kind: str
    model: str | None
    version: int | None
    detail: str


class History:
    """The rows in `state_dir`; None keeps them in memory."""

    def __init__(
        self,
        state_dir: Path | None,
        max_rows: int = MAX_ROWS,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._state_dir = state_dir
        self._max_rows = max_rows
        self._wall = wall
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
        self._database: sqlite3.Connection | None = None
        # Each counter has one writer: the event loop the first, the history's thread the others.
        self._recorded = 0
        self._taken = 0
        self._written = 0
        self._is_closed = False
        self._is_warned = False

    def record(self, kind: EventKind, model: str | None, version: int | None, detail: str) -> None:
        """Notes an event that happened now. Returns at once; nothing to do after `close`. Event loop only."""
        if self._is_closed or self._recorded - self._taken >= MAX_PENDING:
            return
        self._recorded += 1
        event = HistoryEvent(self._wall(), kind.value, model, version, detail)
        self._thread.submit(self._write, event)

    async def events(self, limit: int = 100) -> tuple[HistoryEvent, ...]:
        """The newest `limit` events, newest first, with all that was recorded before this call."""
        if self._is_closed:
            return ()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, limit)

    async def close(self) -> None:
        """Returns when what was recorded is written and the file is closed."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    # Below: the history's own thread.

    def _write(self, event: HistoryEvent) -> None:
        self._taken += 1
        try:
            database = self._opened()
            row = (event.time, event.kind, event.model, event.version, event.detail)
            with database:
                database.execute(
                    "INSERT INTO events (time, kind, model, version, detail) VALUES (?, ?, ?, ?, ?)", row
                )
                self._written += 1
                if self._written % _TRIM_EVERY == 0:
                    self._trim(database)
        except (sqlite3.Error, OSError, OverflowError) as error:
            self._warn(error)

    def _read(self, limit: int) -> tuple[HistoryEvent, ...]:
        try:
            rows = self._opened().execute(
                "SELECT time, kind, model, version, detail FROM events ORDER BY id DESC LIMIT ?",
                (max(0, min(limit, self._max_rows)),),
            )
            return tuple(HistoryEvent(*row) for row in rows)
        except (sqlite3.Error, OSError) as error:
            self._warn(error)
            return ()

    def _trim(self, database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM events WHERE id <= (SELECT MAX(id) FROM events) - ?", (self._max_rows,))

    def _close(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._trim(self._database)
                self._database.commit()
                self._database.close()

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._open()
        return self._database

    def _open(self) -> sqlite3.Connection:
        """The database, fresh if the file is not one (that file is kept beside)."""
        if self._state_dir is None:
            return _connect(":memory:")
        reason = why_read_only(self._state_dir)
        if reason is not None:
            self._warn(reason)
            return _connect(":memory:")
        path = self._state_dir / FILE_NAME
        try:
            return _connect(_private(path))
        except sqlite3.OperationalError:
            raise  # locked, full or read-only: the file itself may be good
        except sqlite3.DatabaseError as error:
            self._warn(error)
            path.replace(path.with_name(f"{FILE_NAME}.corrupt"))
            return _connect(_private(path))

    def _warn(self, error: Exception | str) -> None:
        if not self._is_warned:
            self._is_warned = True
            log.warning("the history cannot be kept: %s", error)


def _private(path: Path) -> str:
    """The path, with a file there that only this user can read: SQLite gives its own files the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return str(path)


def _connect(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5, check_same_thread=True)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        # Losing the last rows in a power cut is fine; the desired state is elsewhere.
        database.execute("PRAGMA synchronous=NORMAL")
        with database:
            database.execute(_SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database
