"""A save of the state, with each of its system calls failing or killing the process in turn.

The calls are found by tracing a save, so that one that is added later is tried as well.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLS = "openat,write,fsync,rename,unlink,close,mkdir"
SAVE = """
import sys
from pathlib import Path
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.store import StateStore

def mark(place):
    try:
        open("/the save " + place)
    except OSError:
        pass

store = StateStore(Path(sys.argv[1]))
names = sys.argv[2:]
state = DesiredState(tuple(ModelConfig(name, "/models/" + name) for name in names))
mark("begins")
try:
    store.save(state)
except ServingError as error:
    print(error)
    sys.exit(9)
mark("ends")
"""


@dataclass(frozen=True)
class Call:
    """A system call of the save: the `number`-th of its name in the process."""

    name: str
    number: int


def saved(folder: Path, *names: str, strace: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*strace, sys.executable, "-B", "-c", SAVE, str(folder), *names]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def state_in(folder: Path) -> list[str]:
    """The names of the models that the next engine finds."""
    from jupyter_tfserve.lifecycle.store import StateStore

    loaded = StateStore(folder).load()
    assert loaded.notes == ()
    return [model.name for model in loaded.state.models]


def mark(place: str) -> str:
    """A system call that nothing else makes."""
    return f"/the save {place}"


def calls_between(lines: list[str]) -> list[Call]:
    """What the saving thread called between the marks; strace counts by thread."""
    (thread,) = {line.split()[0] for line in lines if mark("begins") in line}
    seen: dict[str, int] = {}
    found: list[Call] = []
    is_saving = False
    for line in lines:
        match = re.match(rf"{thread} +(\w+)\(", line)
        if match is None:
            continue
        name = match.group(1)
        seen[name] = seen.get(name, 0) + 1
        if mark("ends") in line:
            return found
        if is_saving:
            found.append(Call(name, seen[name]))
        is_saving = is_saving or mark("begins") in line
    raise AssertionError("the save did not end")


@pytest.fixture
def old_state(tmp_path) -> Path:
    folder = tmp_path / "state"
    assert saved(folder, "old").returncode == 0
    return folder


@pytest.fixture
def calls(tool, old_state, tmp_path) -> list[Call]:
    """The system calls of one save, after which the folder is as before."""
    log = tmp_path / "trace"
    strace = (tool("strace"), "-f", "-o", str(log), "-e", f"trace={CALLS}")
    traced = saved(old_state, "old", strace=strace)
    if traced.returncode != 0:
        pytest.skip(f"strace does not work here: {traced.stderr.strip()[:100]}")
    found = calls_between(log.read_text().splitlines())
    names = [call.name for call in found]
    assert names.count("fsync") == 2, names
    assert "rename" in names, names
    return found


@pytest.mark.fault
def test_state_is_old_or_new_when_killed_at_any_call_of_a_save(calls, old_state, tool, record_case) -> None:
    states = []
    for call in calls:
        kill = f"inject={call.name}:signal=KILL:when={call.number}"
        strace = (tool("strace"), "-f", "-o", "/dev/null", "-e", f"trace={call.name}", "-e", kill)
        assert saved(old_state, "old").returncode == 0
        done = saved(old_state, "new", "er", strace=strace)
        assert done.returncode != 0, call
        states.append(state_in(old_state))
        assert states[-1] in (["old"], ["new", "er"]), call
    assert ["old"] in states
    assert ["new", "er"] in states
    record_case("F3", "half states", 0, f"of {len(calls)} calls")


@pytest.mark.fault
def test_old_state_stays_when_any_call_of_a_save_fails(calls, old_state, tool, record_case) -> None:
    tried = [call for call in calls if call.name in ("openat", "write", "fsync", "rename")]
    reasons = {"openat": "EROFS", "write": "ENOSPC", "fsync": "EIO", "rename": "EACCES"}
    # Once the file has its name, the new state is there; a folder that cannot be synced is told all the same.
    renamed = next(at for at, call in enumerate(tried) if call.name == "rename")
    for at, call in enumerate(tried):
        fault = f"inject={call.name}:error={reasons[call.name]}:when={call.number}"
        strace = (tool("strace"), "-f", "-o", "/dev/null", "-e", f"trace={call.name}", "-e", fault)
        assert saved(old_state, "old").returncode == 0
        done = saved(old_state, "new", strace=strace)
        assert done.returncode == 9, (call, done.stderr)
        assert "The server's state cannot be saved" in done.stdout
        if at <= renamed:
            assert state_in(old_state) == ["old"], call
        else:
            assert state_in(old_state) in (["old"], ["new"]), call
        assert [file.name for file in old_state.iterdir()] == ["models.json"]
    record_case("F2", "states lost", 0, f"of {len(tried)} calls that failed")
