"""Kernels, Jupyter servers and engines that end, by signal or by request, many times: what stays, and what is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest
from jupyter_client.asynchronous import AsyncKernelClient

from jupyter_tfserve.lifecycle.changes import Changes
from tests.contract.engines import running_engine, wait_loaded
from tests.reliability.jupyter_process import JupyterProcess
from tests.reliability.kill_bench import summary
from tests.reliability.oracles import GOOD, GOOD_BODY, rows_belong
from tests.reliability.wire import Wire, post, wires
from tests.running_engine import RunningEngine

LOOPS = int(os.environ.get("TFSERVE_LOOPS", "50"))
STREAMS = 4
REQUEST = post(f"/v1/models/{GOOD}:predict", GOOD_BODY.encode())
GONE_DEADLINE_S = 60.0

pytestmark = [pytest.mark.fault, pytest.mark.nightly, pytest.mark.timeout(1800)]


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(map(is_there, processes))


def is_there(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def seconds_until_gone(processes: list[psutil.Process]) -> float:
    began = time.monotonic()
    while not are_gone(processes):
        assert time.monotonic() < began + GONE_DEADLINE_S, f"orphans: {[*filter(is_there, processes)]}"
        time.sleep(0.005)
    return time.monotonic() - began


def restart_engine(jupyter: JupyterProcess, pid: int) -> None:
    """Kills the engine and returns when the next one runs, with the fork server of the first."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + GONE_DEADLINE_S
    while True:
        engine = jupyter.call("GET", "jupyter-tfserve/api/engines/default")
        if engine["state"] == "running" and engine["pid"] != pid:
            return
        assert time.monotonic() < deadline, engine
        time.sleep(0.01)


ENDS = ("killed", "terminated", "killed with its engine", "killed after its engine was restarted")


def test_no_process_stays_when_a_jupyter_server_ends(saved_models, tmp_path, record_case) -> None:
    """F14: by SIGKILL or SIGTERM, and with the fork server between two engines or adopted by the second."""
    took: dict[str, list[float]] = {end: [] for end in ENDS}
    for number in range(LOOPS):
        end = ENDS[number % len(ENDS)]
        jupyter = JupyterProcess(tmp_path, saved_models)
        try:
            pid = jupyter.serve(GOOD, 1)["pid"]
            if end == "killed after its engine was restarted":
                restart_engine(jupyter, pid)
            processes = jupyter.tfserve_processes()
            assert len(processes) >= 2
            if end == "killed with its engine":
                os.kill(pid, signal.SIGKILL)
            jupyter.process.send_signal(signal.SIGTERM if end == "terminated" else signal.SIGKILL)
            took[end].append(seconds_until_gone(processes))
        finally:
            jupyter.close()
    record_case("F14", f"processes that stayed, {LOOPS} ends of a Jupyter server", 0, "")
    for end, times in took.items():
        if times:
            record_case("F14", f"all gone after it was {end}, longest of {len(times)}", max(times), "s")


async def ask_on(wire: Wire, stop: asyncio.Event, ended: list[float]) -> None:
    while not stop.is_set():
        status, body = await wire.ask(REQUEST)
        assert status == 200, body
        rows_belong([1.0, 2.0, 5.0], body)
        ended.append(time.monotonic())


async def test_serving_goes_on_when_kernels_are_restarted_and_killed(
    saved_models, tmp_path, record_case
) -> None:
    """F13: the load never sees it, and the next kernel finds the engine."""
    jupyter, stop, ended, found = JupyterProcess(tmp_path, saved_models), asyncio.Event(), [], []
    try:
        engine = await asyncio.to_thread(jupyter.serve, GOOD, 1)
        async with wires(engine["rest_url"], STREAMS) as opened:
            load = [asyncio.ensure_future(ask_on(wire, stop, ended)) for wire in opened]
            kernel = await asyncio.to_thread(jupyter.call, "POST", "api/kernels")
            for number in range(LOOPS):
                began = time.monotonic()
                pid, seen = await status_in(jupyter.runtime, kernel["id"])
                found.append(time.monotonic() - began)
                assert str(engine["pid"]) in seen, seen
                if number % 2:
                    await asyncio.to_thread(jupyter.call, "POST", f"api/kernels/{kernel['id']}/restart")
                else:
                    os.kill(pid, signal.SIGKILL)
                    kernel = await asyncio.to_thread(jupyter.call, "POST", "api/kernels")
            stop.set()
            await asyncio.gather(*load)
        assert jupyter.call("GET", "jupyter-tfserve/api/engines/default")["pid"] == engine["pid"]
    finally:
        stop.set()
        jupyter.close()
    record_case("F13", f"requests failed, {LOOPS} kernels restarted or killed", 0, f"of {len(ended):,}")
    for name, figure in summary(found).items():
        record_case("F13", f"a new kernel's %tfserve status, {name}", figure, "s")


CODE = """
import os
from jupyter_tfserve import connect
print("seen", os.getpid(), connect().state().engine.pid)
"""


async def status_in(runtime: Path, kernel: str) -> tuple[int, str]:
    """(the kernel's pid, the engine's as its Python API sees it), once the kernel is up."""
    client = AsyncKernelClient(connection_file=str(runtime / f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    said: list[str] = []
    try:
        await wait_for_kernel(client)
        await client.execute_interactive(
            CODE, timeout=120, output_hook=lambda message: said.append(str(message["content"]))
        )
    finally:
        client.stop_channels()
    text = "".join(said)
    match = re.search(r"seen (\d+) (\d+)", text)
    assert match is not None, text
    return int(match[1]), match[2]


async def wait_for_kernel(client: AsyncKernelClient) -> None:
    deadline, is_ready = time.monotonic() + GONE_DEADLINE_S, False
    while not is_ready:
        assert time.monotonic() < deadline
        with contextlib.suppress(RuntimeError):  # it is being restarted
            await client.wait_for_ready(timeout=60)
            is_ready = True


async def test_sigterm_under_load_loses_no_request_in_flight(saved_models, tmp_path, record_case) -> None:
    """F16: what was sent before the signal is answered; then the engine ends by itself, with all of its processes."""
    exits, answered, lost = [], 0, []
    for number in range(2 * LOOPS):
        flags = (f"--model_base_path={saved_models}/{GOOD}", f"--model_name={GOOD}")
        with running_engine(tmp_path / str(number), *flags) as engine:
            await asyncio.to_thread(wait_loaded, engine, GOOD)
            with contextlib.closing(engine.control), contextlib.closing(engine.rest):
                signalled, asked = await sigterm_under_load(engine)
            exits.append(time.monotonic() - signalled)
        answered += sum(is_answered for _, is_answered in asked)
        lost += [sent - signalled for sent, is_answered in asked if not is_answered and sent < signalled]
    record_case(
        "F16", f"requests in flight lost, {2 * LOOPS} times SIGTERM", len(lost), f"beside {answered:,}"
    )
    for name, figure in summary(exits).items():
        record_case("F16", f"gone after SIGTERM, {name}", figure, "s")
    assert lost == []


async def sigterm_under_load(engine: RunningEngine) -> tuple[float, list[tuple[float, bool]]]:
    """When the signal was sent, and the requests as `ask_until_cut` saw them; returns when all processes are gone."""
    children, asked, changes = engine.processes(), [], Changes()
    async with wires(engine.connection.rest_url or "", STREAMS) as opened:
        load = [asyncio.ensure_future(ask_until_cut(wire, asked, changes)) for wire in opened]
        await changes.wait_until(lambda: len(asked) >= 50 * STREAMS or None, 60)
        signalled = time.monotonic()
        engine.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*load)
    assert await asyncio.to_thread(engine.process.wait, 60) == 0
    await asyncio.to_thread(seconds_until_gone, children)
    return signalled, asked


async def ask_until_cut(wire: Wire, asked: list[tuple[float, bool]], changes: Changes) -> None:
    """(when it was sent, whether it was answered) of each request, until one is not."""
    while True:
        sent = time.monotonic()
        try:
            status, body = await wire.ask(REQUEST)
        except (OSError, asyncio.IncompleteReadError):
            asked.append((sent, False))
            return
        assert status == 200, body
        asked.append((sent, True))
        changes.announce()
