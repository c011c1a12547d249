"""A fork server from engine to engine: who gets it, and when it ends. The engines are real processes that are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

import psutil
import pytest

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.worker.handover import KeptForkServer, OwnerSocket, WarmServer
from jupyter_tfserve.worker.identity import fork_server_identity

ENGINE = """
import asyncio, json, os, socket, sys
from jupyter_tfserve.worker import launcher
from jupyter_tfserve.worker.handover import OwnerSocket
from jupyter_tfserve.worker.order import WorkerOrder

launcher.FORK_SERVER = "tests.worker.cold_fork_server"
launcher.ADOPTION_S = float(os.environ.get("ADOPTION_S", "60"))

async def main(descriptor):
    starts = launcher.ForkServerLauncher(OwnerSocket(descriptor))
    await starts.start()
    print(json.dumps(starts._server._process.pid), flush=True)
    await starts.ready()
    pairs = [socket.socketpair() for _ in range(2)]
    worker = await starts.launch(WorkerOrder("", (), 0, 0), [theirs for _, theirs in pairs])
    print(json.dumps([starts._server._process.pid, worker.pid]), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await starts.close()

asyncio.run(main(int(sys.argv[1])))
"""


@dataclass
class Run:
    """One run of an engine that has a worker."""

    engine: subprocess.Popen[bytes]
    server: int
    worker: int

    def kill(self) -> None:
        self.engine.kill()
        self.engine.wait()

    def stop(self) -> None:
        self.engine.communicate()


class Owner:
    """Starts one engine after another."""

    def __init__(self) -> None:
        self.kept = KeptForkServer()
        self.engines: list[subprocess.Popen[bytes]] = []

    def begin(self, **environment: str) -> tuple[subprocess.Popen[bytes], int]:
        """An engine, and the fork server that it has adopted or begun to start."""
        with self.kept.end_for_engine() as end:
            engine = subprocess.Popen(
                [sys.executable, "-c", ENGINE, str(end.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[end.fileno()],
                env={**os.environ, **environment},
            )
        self.engines.append(engine)
        return engine, json.loads(engine.stdout.readline())

    async def start(self, **environment: str) -> Run:
        engine, _ = await asyncio.to_thread(self.begin, **environment)
        return Run(engine, *json.loads(await asyncio.to_thread(engine.stdout.readline)))


@pytest.fixture
def owner():
    owner = Owner()
    yield owner
    owner.kept.let_go()
    for engine in owner.engines:
        engine.kill()
        engine.communicate()


@pytest.mark.fault
async def test_next_engines_have_the_same_fork_server_when_they_are_killed(owner, is_gone):
    first = await owner.start()
    first.kill()
    second = await owner.start()
    assert second.server == first.server
    assert is_gone(first.worker)  # its memory is free before the next engine's versions need it
    second.kill()
    third = await owner.start()
    assert third.server == first.server
    assert is_gone(second.worker)
    assert not is_gone(third.worker)


@pytest.mark.fault
async def test_next_engine_adopts_when_one_was_killed_before_it_had_adopted(owner):
    first = await owner.start()
    os.kill(first.server, signal.SIGSTOP)
    first.kill()
    second, server = await asyncio.to_thread(owner.begin)
    assert server == first.server
    second.kill()
    second.wait()
    os.kill(first.server, signal.SIGCONT)
    assert (await owner.start()).server == first.server


@pytest.mark.fault
async def test_next_engine_adopts_when_the_last_one_left_news_unread(owner, eventually):
    first = await owner.start()
    first.engine.send_signal(signal.SIGSTOP)
    server = psutil.Process(first.server)
    os.kill(first.worker, signal.SIGKILL)
    await eventually(lambda: server.children() == [])  # reaped, so it was told
    first.kill()
    assert (await owner.start()).server == first.server


@pytest.mark.fault
async def test_engine_starts_its_own_when_the_last_one_died_too(owner, is_gone):
    first = await owner.start()
    os.kill(first.server, signal.SIGKILL)
    first.kill()
    second = await owner.start()
    assert second.server != first.server
    second.kill()
    assert (await owner.start()).server == second.server


@pytest.mark.fault
async def test_engine_starts_its_own_and_ends_the_last_one_when_that_does_not_answer(
    owner, is_gone, eventually
):
    first = await owner.start()
    os.kill(first.server, signal.SIGSTOP)
    first.kill()
    second = await owner.start(ADOPTION_S="0.05")
    assert second.server != first.server
    await eventually(lambda: is_gone(first.server))
    second.kill()
    assert (await owner.start(ADOPTION_S="60")).server != first.server


async def test_engine_starts_its_own_and_ends_the_last_one_when_its_environment_is_another(
    owner, is_gone, eventually
):
    first = await owner.start(TF_NUM_THREADS="1")
    first.kill()
    second = await owner.start(TF_NUM_THREADS="2")
    assert second.server != first.server
    await eventually(lambda: is_gone(first.server))


@pytest.mark.fault
async def test_fork_server_that_replaced_another_is_the_one_that_is_handed_over(owner, is_gone, eventually):
    first = await owner.start()
    (lost,) = [psutil.Process(first.server)]
    lost.kill()
    engine = psutil.Process(first.engine.pid)
    await eventually(lambda: [child.pid for child in engine.children() if child.pid != lost.pid])
    (new,) = [child.pid for child in engine.children() if child.pid != lost.pid]
    # Its engine is killed as soon as it is there; it is still starting.
    await eventually(lambda: "cold_fork_server" in str(psutil.Process(new).cmdline()))
    first.kill()
    second = await owner.start()
    assert second.server == new
    os.kill(first.worker, signal.SIGKILL)  # here workers are deaf, and this one's parent is the lost server


@pytest.mark.fault
@pytest.mark.parametrize("order", ["owner first", "engine first"])
async def test_fork_server_ends_when_owner_and_engine_are_gone(owner, is_gone, eventually, order):
    run = await owner.start()
    if order == "owner first":
        owner.kept.let_go()
        run.kill()
    else:
        run.kill()
        owner.kept.let_go()
    await eventually(lambda: is_gone(run.server) and is_gone(run.worker), timeout_s=10)


async def test_fork_server_ends_when_its_engine_is_stopped(owner, is_gone):
    run = await owner.start()
    run.stop()
    assert is_gone(run.server)


async def test_fork_server_ends_when_no_engine_follows_in_time(owner, is_gone, eventually):
    run = await owner.start(HANDOVER_S="0.1")
    run.kill()
    await eventually(lambda: is_gone(run.server), timeout_s=10)
    assert (await owner.start()).server != run.server


def test_engine_has_nothing_to_adopt_when_the_owner_has_nothing():
    kept = KeptForkServer()
    with kept.end_for_engine() as end:
        owner = OwnerSocket(os.dup(end.fileno()))
        assert owner.take() is None
    owner.close()
    kept.let_go()


def test_what_an_engine_gave_last_is_what_the_next_one_gets():
    kept, pairs = KeptForkServer(), [socket.socketpair() for _ in range(2)]
    with kept.end_for_engine() as end:
        given = OwnerSocket(os.dup(end.fileno()))
    for number, (ours, _) in enumerate(pairs):
        given.give(WarmServer(number, f"identity {number}", ours))
        ours.close()
    given.close()
    with kept.end_for_engine() as end:
        owner = OwnerSocket(os.dup(end.fileno()))
    taken = owner.take()
    assert (taken.pid, taken.identity) == (1, "identity 1")
    assert owner.take() is None
    assert pairs[0][1].recv(1) == b""  # nobody holds the other's end any more
    owner.close()
    kept.let_go()
    taken.lifeline.close()
    assert pairs[1][1].recv(1) == b""
    for _, theirs in pairs:
        theirs.close()


def test_number_that_is_no_socket_is_refused():
    with (
        open(os.devnull) as file,
        pytest.raises(ServingError, match="is no socket that the engine has inher"),
    ):
        OwnerSocket(file.fileno())


def test_identity_is_another_when_the_environment_or_our_code_is(monkeypatch, tmp_path):
    from jupyter_tfserve.worker import identity

    one = fork_server_identity({"A": "1"})
    assert fork_server_identity({"A": "1"}) == one
    assert fork_server_identity({"A": "2"}) != one
    (tmp_path / "a.py").write_text("")
    monkeypatch.setattr(identity, "_PACKAGE", tmp_path)
    before = fork_server_identity({})
    (tmp_path / "a.py").write_text("changed")
    assert fork_server_identity({}) != before
