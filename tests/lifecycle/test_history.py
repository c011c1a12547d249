"""The history: rows in order, bounded, private, and never in the way."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading

import pytest

from jupyter_tfserve.lifecycle.history import FILE_NAME, MAX_PENDING, EventKind, History, HistoryEvent


@pytest.fixture(params=["disk", "memory"])
async def history(request, tmp_path):
    made = History(tmp_path if request.param == "disk" else None, wall=lambda: 12.5)
    yield made
    await made.close()


async def test_events_are_told_newest_first_with_all_that_was_recorded(history):
    history.record(EventKind.LOAD, "m", 1, "")
    history.record(EventKind.LABEL, "m", 2**63 - 1, "stable -> 1")
    history.record(EventKind.CONFIG, None, None, "serve no models")
    assert await history.events() == (
        HistoryEvent(12.5, "config", None, None, "serve no models"),
        HistoryEvent(12.5, "label", "m", 2**63 - 1, "stable -> 1"),
        HistoryEvent(12.5, "load", "m", 1, ""),
    )
    assert len(await history.events(2)) == 2
    assert await history.events(-1) == ()


async def test_events_are_there_after_a_restart_and_for_their_user_only(tmp_path):
    first = History(tmp_path)
    first.record(EventKind.CRASH, "m", 1, "killed by signal 9")
    await first.close()
    second = History(tmp_path)
    assert [event.detail for event in await second.events()] == ["killed by signal 9"]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    await second.close()


async def test_oldest_events_go_when_there_are_too_many(tmp_path):
    history = History(tmp_path, max_rows=10)
    for number in range(600):
        history.record(EventKind.LOAD, "m", number, "")
    await history.events()
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as reader:
        (rows,) = reader.execute("SELECT COUNT(*) FROM events").fetchone()
    assert rows < 300
    await history.close()
    reopened = History(tmp_path, max_rows=1000)
    assert [event.version for event in await reopened.events(1000)] == list(range(599, 589, -1))
    await reopened.close()


async def test_file_is_kept_aside_when_it_is_no_database(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 100)
    history = History(tmp_path)
    history.record(EventKind.LOAD, "m", 1, "")
    assert len(await history.events()) == 1
    assert (tmp_path / f"{FILE_NAME}.corrupt").exists()
    await history.close()


async def test_nothing_fails_when_the_folder_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("x")
    history = History(tmp_path / "file" / "state")
    history.record(EventKind.LOAD, "m", 1, "")
    assert await history.events() == ()
    await history.close()


async def test_events_are_dropped_when_the_disk_does_not_keep_up(tmp_path):
    history = History(tmp_path)
    gate = threading.Event()
    history._thread.submit(gate.wait)
    for number in range(MAX_PENDING + 5):
        history.record(EventKind.LOAD, "m", number, "")
    gate.set()
    assert [event.version for event in await history.events(1)] == [MAX_PENDING - 1]
    await history.close()


async def test_record_does_nothing_when_the_history_is_closed(history):
    await history.close()
    history.record(EventKind.LOAD, "m", 1, "")
    assert await history.events() == ()
