"""Ports that outlive a killed engine: who holds the sockets, until when, and what comes of connections made meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest

from jupyter_tfserve.codec.protos import PredictionServiceStub, PredictRequest
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.dataplane.listening import end_listening
from jupyter_tfserve.engine.kept_ports import KeptPorts, ListeningSockets, OwnerPorts
from jupyter_tfserve.engine.launch import FREE_PORT, LaunchOptions, prepare_engine
from jupyter_tfserve.engine.supervisor import SupervisorState, SupervisorStatus
from jupyter_tfserve.errors import ServingError
from tests.reliability.wire import Wire, post

PREDICT = post("/v1/models/half_plus_two:predict", b'{"instances": [1.0]}')
DEADLINE_S = 120


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.fixture
def kept() -> Iterator[KeptPorts]:
    kept = KeptPorts()
    yield kept
    kept.let_go()


@contextlib.contextmanager
def engine_of(kept: KeptPorts) -> Iterator[OwnerPorts]:
    """The engine's side of its next run."""
    with kept.end_for_engine() as end:
        engine = OwnerPorts(os.dup(end.fileno()))
    yield engine
    engine.close()


def engine_that_died(kept: KeptPorts, rest: int = 1, grpc: int = 2) -> list[tuple[str, int]]:
    """The addresses that an engine listened on until it was killed."""
    sockets = [listening() for _ in range(rest + grpc)]
    with engine_of(kept) as engine:
        engine.give(ListeningSockets(tuple(sockets[:rest]), tuple(sockets[rest:])))
    addresses = [one.getsockname() for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def is_refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionRefusedError:
        return True
    return False


def test_connections_wait_for_the_next_engine_when_one_has_died(kept) -> None:
    addresses = engine_that_died(kept)
    with contextlib.ExitStack() as stack:
        for address in addresses:
            stack.enter_context(socket.create_connection(address))
        with engine_of(kept) as engine:
            taken = engine.take()
            assert [one.getsockname() for one in taken.all] == addresses
            assert (len(taken.rest), len(taken.grpc)) == (1, 2)
            assert not any(os.get_inheritable(one.fileno()) for one in taken.all)
            for one in taken.all:
                one.accept()[0].close()
            assert engine.take().all == ()
            taken.close()


def test_engine_gets_what_the_one_before_the_last_gave_when_the_last_died_early(kept) -> None:
    addresses = engine_that_died(kept)
    with engine_of(kept):
        pass
    with engine_of(kept) as third:
        taken = third.take()
        assert [one.getsockname() for one in taken.all] == addresses
        taken.close()


def test_connections_are_refused_when_the_owner_has_let_go(kept) -> None:
    """Also if somebody has the sockets as well: a process that was forked from a kernel."""
    with listening() as ours:
        address = ours.getsockname()
        with engine_of(kept) as engine:
            engine.give(ListeningSockets((ours,)))
        assert not is_refused(address)
        kept.let_go()
        assert is_refused(address)
    with engine_of(kept) as engine:
        assert engine.take().all == ()


OWNER = """
import os, signal, socket, sys
from jupyter_tfserve.engine.kept_ports import KeptPorts, ListeningSockets, OwnerPorts
kept = KeptPorts()
for _ in range(2):  # what the first run gave is kept, what the second one gave is still on its way
    engine = OwnerPorts(kept.end_for_engine().detach())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        engine.give(ListeningSockets((listening,)))
        port = listening.getsockname()[1]
    engine.close()
    child = os.fork()
    if not child:
        signal.alarm(600)
        os.write(1, b"%d %d\\n" % (port, os.getpid()))
        signal.pause()
    sys.stdin.readline()
"""


@pytest.mark.fault
def test_connections_are_refused_when_the_owner_is_killed_between_two_engines() -> None:
    """Also if it has forked others, which live on."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", OWNER], stdin=pipe, stdout=pipe, text=True) as owner:
        port, child = map(int, owner.stdout.readline().split())
        ports, children = [port], [child]
        assert not is_refused(("127.0.0.1", port))
        owner.stdin.write("\n")
        owner.stdin.flush()
        port, child = map(int, owner.stdout.readline().split())
        assert not is_refused(("127.0.0.1", port))
        owner.kill()
        owner.wait()
        try:
            assert [is_refused(("127.0.0.1", one)) for one in (*ports, port)] == [True, True]
        finally:
            for one in (*children, child):
                os.kill(one, signal.SIGKILL)


def test_next_engine_binds_by_itself_when_the_last_one_ended_in_order(kept) -> None:
    with listening() as rest, listening() as grpc_socket:
        address = grpc_socket.getsockname()
        with engine_of(kept) as engine:
            engine.give(ListeningSockets((rest,), (grpc_socket,)))
            end_listening([grpc_socket])
        assert is_refused(address)
        with engine_of(kept) as following:
            taken = following.take()
            assert (len(taken.rest), len(taken.grpc)) == (1, 0)
            taken.close()


def test_number_that_is_no_socket_is_refused() -> None:
    with (
        open(os.devnull) as file,
        pytest.raises(ServingError, match="is no socket that the engine has inherited"),
    ):
        OwnerPorts(file.fileno())


class Bench:
    """A supervised engine, and what came of connections to it: (begun, what came of it)."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[float, str]] = []
        self.running: list[float] = []
        """When it began to run, each time."""
        self.stop = asyncio.Event()

    def changed(self, status: SupervisorStatus) -> None:
        if status.state is SupervisorState.RUNNING:
            self.running.append(time.monotonic())

    async def keep_connecting(self, ask: Callable[[], Awaitable[str]]) -> None:
        """One new connection after another."""
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                outcome = await asyncio.wait_for(ask(), DEADLINE_S)
            except (
                OSError,
                asyncio.IncompleteReadError,
                grpc.aio.AioRpcError,
                asyncio.TimeoutError,
            ) as error:
                outcome = repr(error)
            self.outcomes.append((began, outcome))
            await asyncio.sleep(0.005)

    async def answered(self, since: float, count: int) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while sum(began > since for began, _ in self.outcomes) < count:
            assert time.monotonic() < deadline, self.outcomes[-5:]
            await asyncio.sleep(0.01)


async def ask_rest(url: str) -> str:
    wire = await Wire.open(url)
    try:
        status, body = await wire.ask(PREDICT)
    finally:
        wire.close()
    return "answered" if (status, b"2.5" in body) == (200, True) else f"{status} {body!r}"


async def ask_grpc(address: str) -> str:
    request = PredictRequest()
    request.model_spec.name = "half_plus_two"
    encode_tensor(np.float32([1.0]), request.inputs["x"])
    # Each channel connects anew, and once.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        answer = await PredictionServiceStub(channel).Predict(request)
    return "answered" if "y" in answer.outputs else str(answer)


async def ask_status(url: str) -> str:
    """Of a model whose folder the next engine has yet to look at."""
    wire = await Wire.open(url)
    try:
        status, body = await wire.ask(b"GET /v1/models/half_plus_two HTTP/1.1\r\nHost: localhost\r\n\r\n")
    finally:
        wire.close()
    return "answered" if (status, b'"1"' in body) == (200, True) else f"{status} {body!r}"


def fronts_of(engine: int) -> list[psutil.Process]:
    return [one for one in psutil.Process(engine).children() if "engine.front" in str(one.cmdline())]


def inherited(pid: int) -> set[str]:
    """All sockets, files and pipes of a process."""
    folder = f"/proc/{pid}/fd"
    return {os.readlink(f"{folder}/{number}") for number in os.listdir(folder)}


def listening_inodes(pid: int) -> set[str]:
    """The sockets of a process that listen."""
    found = set()
    for one in psutil.Process(pid).net_connections(kind="tcp"):
        if one.status == psutil.CONN_LISTEN:
            found.add(os.readlink(f"/proc/{pid}/fd/{one.fd}"))
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("fronts", [1, pytest.param(2, marks=pytest.mark.nightly)])
async def test_no_new_connection_fails_when_the_engine_is_killed(saved_models, home, fronts) -> None:
    """F1: they wait for the next engine. No process but engine and fronts holds the ports, and a stop closes them.

    Fronts outlive their engine by moments, and what they accept then is lost with them.
    """
    flags = (f"--model_base_path={saved_models}/half_plus_two", "--model_name=half_plus_two")
    options = LaunchOptions(
        rest_port=FREE_PORT, grpc_port=FREE_PORT, arguments=(*flags, f"--front_processes={fronts}")
    )
    bench = Bench()
    launched = await prepare_engine(home, options, on_change=bench.changed)
    supervisor, load = launched.supervisor, []
    try:
        first = await supervisor.start()
        assert await ask_rest(first.rest_url) == "answered"
        for _ in range(2):
            load.append(bench.keep_connecting(lambda: ask_rest(first.rest_url)))
            load.append(bench.keep_connecting(lambda: ask_grpc(first.grpc_address)))
            load.append(bench.keep_connecting(lambda: ask_status(first.rest_url)))
        load = [asyncio.ensure_future(one) for one in load]
        await bench.answered(0.0, 20)
        accepting = fronts_of(first.pid)
        killed = since = time.monotonic()
        os.kill(first.pid, signal.SIGKILL)
        if accepting:
            await asyncio.to_thread(psutil.wait_procs, accepting, DEADLINE_S)
            since = time.monotonic()
        await bench.answered(since, 40)
        second = await supervisor.start()
        bench.stop.set()
        await asyncio.gather(*load)  # those that wait are answered
        assert second.pid != first.pid
        assert (second.rest_url, second.grpc_address) == (first.rest_url, first.grpc_address)
        failed = [one for one in bench.outcomes if one[0] > killed and one[1] != "answered"]
        assert [one for one in failed if one[0] > since or "refused" in one[1].lower()] == []
        assert [began for began, _ in bench.outcomes if killed < began < bench.running[1]]
        ours = listening_inodes(second.pid)
        assert len(ours) == 3
        # Whoever held one would keep the port open after the engine's end.
        path = "/control/models/half_plus_two/versions/1/wait?timeout_s=60"
        worker = json.loads((await supervisor._call(second, "GET", path, DEADLINE_S)).body)["pid"]
        fork_server = psutil.Process(worker).parent()
        assert "forkserver" in str(fork_server.cmdline())
        assert not (inherited(worker) | inherited(fork_server.pid)) & ours
    finally:
        bench.stop.set()
        await asyncio.gather(*load, return_exceptions=True)
        await supervisor.stop()
        launched.close()
    for url in (first.rest_url.partition("//")[2], first.grpc_address):
        host, _, port = url.partition(":")
        assert is_refused((host, int(port)))
