"""A state folder has one writer: who comes second is told so, and who comes after the first's end is not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.folder_lock import ENGINE_LOCK, hold_state_folder, try_lock

HOLD = """
import sys
from pathlib import Path
from jupyter_tfserve.lifecycle.folder_lock import hold_state_folder
hold_state_folder(Path(sys.argv[1]), 0)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that keeps `tmp_path`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_folder_is_refused_with_the_fix_when_another_process_keeps_it(holder, tmp_path):
    with pytest.raises(ServingError, match="Another server keeps its state in") as refused:
        hold_state_folder(tmp_path, 0)
    assert refused.value.code is Code.FAILED_PRECONDITION
    assert "--state_dir" in refused.value.hint


def test_folder_is_free_again_when_its_process_was_killed(holder, tmp_path):
    holder.kill()
    holder.wait()
    hold_state_folder(tmp_path, 0)


def test_folder_is_waited_for_when_its_process_is_just_ending(holder, tmp_path):
    waiting = threading.Thread(target=hold_state_folder, args=(tmp_path, 60))
    waiting.start()
    holder.stdin.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert try_lock(tmp_path / ENGINE_LOCK) is None


def test_folder_is_made_for_its_user_alone_when_it_is_missing(tmp_path):
    hold_state_folder(tmp_path / "a" / "state", 0)
    assert os.stat(tmp_path / "a" / "state").st_mode & 0o777 == 0o700
    assert os.stat(tmp_path / "a" / "state" / ENGINE_LOCK).st_mode & 0o777 == 0o600


def test_file_that_is_none_locks_nothing(tmp_path):
    (tmp_path / "file").touch()
    hold_state_folder(tmp_path / "file", 0)
