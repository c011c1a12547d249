"""Labels survive kill -9: what was acknowledged is there after the restart."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.history import History
from jupyter_tfserve.lifecycle.policy import All
from jupyter_tfserve.lifecycle.states import LifecycleState
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.options import LifecycleOptions
from jupyter_tfserve.types import ModelSpec

SERVER = """
import asyncio, json, sys
from pathlib import Path
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.history import History
from jupyter_tfserve.lifecycle.policy import All
from jupyter_tfserve.lifecycle.resolve import resolve_base_path
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.options import LifecycleOptions

class Loader:
    def __init__(self, servable, path): pass
    async def load(self): pass
    async def unload(self): pass

async def main(base, state_dir):
    core = ServerCore(Loader, LifecycleOptions(), StateStore(state_dir), History(state_dir))
    await core.start()
    await core.open_models(resolve_base_path(str(base)))
    await core.set_policy("m", All())
    for version in (1, 2):
        await core.wait_version("m", version, 20)
    for move in range(100_000):
        version = move % 2 + 1
        await core.set_label("m", f"move-{move}", version)
        print(json.dumps([f"move-{move}", version]), flush=True)

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.fixture
def killed_server(tmp_path, make_version):
    """Runs a server until it acknowledged `moves` labels, kills it, and returns all that it acknowledged."""

    def run(moves: int) -> dict[str, int]:
        for version in (1, 2):
            make_version(tmp_path / "m", version)
        command = [sys.executable, "-c", SERVER, str(tmp_path / "m"), str(tmp_path / "state")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            acknowledged = [json.loads(server.stdout.readline()) for _ in range(moves)]
            server.send_signal(signal.SIGKILL)
            # Labels that were acknowledged before the signal came count too.
            acknowledged += [json.loads(line) for line in server.stdout if line.endswith("\n")]
        assert server.returncode == -signal.SIGKILL
        return dict(acknowledged)

    return run


@pytest.mark.fault
@pytest.mark.parametrize("moves", [1, 2, 7])
async def test_labels_are_all_there_when_the_server_was_killed(tmp_path, loaders, killed_server, moves):
    acknowledged = killed_server(moves)
    state_dir = tmp_path / "state"
    core = ServerCore(loaders, LifecycleOptions(), StateStore(state_dir), History(state_dir))
    assert await core.start() == ()
    labels = core.serving_map.labels("m")
    assert acknowledged.items() <= labels.items()
    assert len(labels) <= len(acknowledged) + 1  # one may be saved and not yet acknowledged
    for version in (1, 2):
        assert (await core.wait_version("m", version, 20)).state is LifecycleState.AVAILABLE
    for label, version in acknowledged.items():
        assert core.serving_map.lookup(ModelSpec("m", label=label)).id.version == version
    assert core.states()[0].config.policy == All()
    await core.close(drain_timeout_s=0.1)
