"""The peers as targets: each in its own interpreter, started once with all models."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator

from tests.benchmarks.calls import Call
from tests.benchmarks.models import Model
from tests.benchmarks.peers.catalog import PEER_MODELS, PEERS, Peer, Place
from tests.benchmarks.serving import NotInstalled, free_port, pause, running, wait_right
from tests.benchmarks.targets import Measured, Served, Setting, Target
from tests.benchmarks.workloads import Workload

START_DEADLINE_S = 150


def peer_targets(setting: Setting, wanted: Callable[[str], bool]) -> list[Target]:
    """Those whose names are wanted."""
    return [_peer_target(peer, setting) for peer in PEERS if wanted(peer.name)]


def _peer_target(peer: Peer, setting: Setting) -> Target:
    def takes(workload: Workload, connections: int) -> bool:
        return connections in workload.peer_connections and (peer.grpc is not None or not workload.grpc)

    @contextlib.contextmanager
    def opened() -> Iterator[Measured]:
        python = setting.pythons.get(peer.package.partition(".")[0], sys.executable)
        _check_installed(python, peer.package)
        ports = free_port(), free_port()
        place = Place(setting.models, *ports, setting.folder / f"peer{ports[0]}")
        place.folder.mkdir()

        def call(workload: Workload, model: Model) -> Call:
            if workload.grpc and peer.grpc is not None:
                return peer.grpc(place, model, workload.grpc == "tensor_content")
            return peer.rest(place, model)

        command, log = [python, *peer.command(peer, place)], place.folder / "log"
        with running(command, log, setting.cores.server, peer.environment(place)) as process:
            # All of them: one that is put to sleep while it still loads may not survive that.
            for model in map(setting.model, PEER_MODELS):
                wait_right(process, log, peer.rest(place, model), model.expected, START_DEADLINE_S)
            pause(process.pid)
            yield Served(process, log, setting, call, sleeps=True)

    return Target(peer.name, opened, takes)


def _check_installed(python: str, package: str) -> None:
    looked = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    try:
        done = subprocess.run([python, "-c", looked], capture_output=True, check=False)
    except OSError as error:
        raise NotInstalled(f"its interpreter does not run: {error.strerror}") from error
    if done.returncode:
        raise NotInstalled("it is not installed")
