"""The state file: old or new, private, and honest about what it cannot do."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys

import pytest

from jupyter_tfserve.errors import HTTP_STATUS, Code, ServingError
from jupyter_tfserve.lifecycle import store as store_module
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.keys import PredictKey
from jupyter_tfserve.lifecycle.limits import FlowLimits
from jupyter_tfserve.lifecycle.policy import Specific
from jupyter_tfserve.lifecycle.store import FILE_NAME, StateStore

STATE = DesiredState(
    (ModelConfig("m", "/m", Specific((3,)), {"stable": 3}), ModelConfig("n", "/n", single_version=1)),
    (ModelConfig("closed", "/c", labels={"a": -1}),),
    (
        PredictKey("0" * 12, "f" * 64, ("m",), "for Ann", 1.5, 99.5, FlowLimits(5, 2)),
        PredictKey("1" * 12, "e" * 64, ("*",)),
    ),
    {"m": FlowLimits(100, 20, 8, 30.0), "gone": FlowLimits(max_in_flight=1)},
)


def test_state_is_the_same_after_a_restart(tmp_path):
    StateStore(tmp_path / "state").save(STATE)
    loaded = StateStore(tmp_path / "state").load()
    assert (loaded.state, loaded.notes) == (STATE, ())


def test_state_of_an_older_version_has_no_keys_and_no_limits(tmp_path):
    StateStore(tmp_path).save(STATE)
    document = json.loads((tmp_path / FILE_NAME).read_bytes())
    del document["keys"], document["limits"]
    (tmp_path / FILE_NAME).write_text(json.dumps(document))
    loaded = StateStore(tmp_path).load()
    assert (loaded.state, loaded.notes) == (DesiredState(STATE.models, STATE.remembered), ())


def test_state_with_a_broken_key_or_limit_is_kept_aside(tmp_path):
    for broken in ({"keys": [{"id": 1}]}, {"keys": 5}, {"limits": {"m": {"burst": -1}}}, {"limits": []}):
        StateStore(tmp_path).save(STATE)
        document = json.loads((tmp_path / FILE_NAME).read_bytes())
        (tmp_path / FILE_NAME).write_text(json.dumps({**document, **broken}))
        assert StateStore(tmp_path).load().notes, broken


def test_state_is_empty_when_nothing_was_saved(tmp_path):
    assert StateStore(tmp_path / "state").load().state == DesiredState()


def test_state_is_for_its_user_only_and_leaves_no_other_file(tmp_path):
    folder = tmp_path / "a" / "state"
    old_mask = os.umask(0)
    try:
        StateStore(folder).save(STATE)
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_state_is_kept_nowhere_when_there_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = StateStore(None)
    store.save(STATE)
    assert store.load().state == DesiredState()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"null",
        b'{"format": 2}',
        b'{"format": 1, "models": {"config": {}, "single_versions": [1], "keeps_labelled": [true]}, "remembered": {}}',
        b'{"format": 1, "models": {"config": {}, "single_versions": [], "keeps_labelled": [1]}, "remembered": {}}',
        b'{"format": 1, "models": {"config": {"nope": 1}, "single_versions": []}, "remembered": {}}',
        b'{"format": 1, "models": 3, "remembered": {}}',
    ],
)
def test_corrupt_file_is_kept_aside_with_a_note(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    loaded = StateStore(tmp_path).load()
    assert loaded.state == DesiredState()
    assert len(loaded.notes) == 1
    assert (tmp_path / f"{FILE_NAME}.corrupt").read_bytes() == content
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "Make room on the disk"),
        (errno.EDQUOT, "Make room on the disk"),
        (errno.EROFS, "See that the server may read and write"),
        (errno.EIO, "See that the server may read and write"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_old_state_stays_when_a_save_fails(tmp_path, monkeypatch, number, fix, call):
    store = StateStore(tmp_path)
    store.save(STATE)

    def fail(*_arguments):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(ServingError) as caught:
            store.save(DesiredState())
    # No client repeats a 400 by itself, as some do a 429 or a 503.
    assert HTTP_STATUS[caught.value.code] == 400
    assert (caught.value.hint or "").startswith(fix)
    assert caught.value.message == f"The server's state cannot be saved: {os.strerror(number)}"
    assert store.load().state == STATE
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_save_is_refused_when_the_folder_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ServingError) as caught:
        StateStore(tmp_path / "file" / "state").save(STATE)
    assert caught.value.code is Code.FAILED_PRECONDITION


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.store import StateStore

name, nth, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
real, calls = getattr(os, name), 0
def deadly(*arguments, **keywords):
    global calls
    calls += 1
    if calls == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **keywords)
setattr(os, name, deadly)
StateStore(folder).save(DesiredState((ModelConfig("new", "/new"),)))
"""


@pytest.mark.fault
@pytest.mark.parametrize(
    ("call", "nth", "expected"),
    [("open", 1, "old"), ("fsync", 1, "old"), ("replace", 1, "old"), ("fsync", 2, "new")],
)
def test_state_is_old_or_new_when_the_process_is_killed_while_it_saves(tmp_path, call, nth, expected):
    StateStore(tmp_path).save(DesiredState((ModelConfig("old", "/old"),)))
    killed = subprocess.run([sys.executable, "-c", KILLED_AT, call, str(nth), str(tmp_path)], check=False)
    assert killed.returncode == -9
    loaded = StateStore(tmp_path).load()
    assert ([model.name for model in loaded.state.models], loaded.notes) == ([expected], ())
    StateStore(tmp_path).save(STATE)
    assert StateStore(tmp_path).load().state == STATE


def test_changes_are_kept_in_memory_alone_when_the_folder_is_read_only_from_the_start(tmp_path, monkeypatch):
    StateStore(tmp_path).save(STATE)
    monkeypatch.setattr(store_module, "why_read_only", lambda _: "Read-only file system")
    store = StateStore(tmp_path)
    loaded = store.load()
    assert loaded.state == STATE
    assert loaded.notes == (
        "The state folder cannot be written (Read-only file system): changes hold until this server ends, and no longer",
    )
    store.save(DesiredState())
    monkeypatch.undo()
    assert StateStore(tmp_path).load().state == STATE
