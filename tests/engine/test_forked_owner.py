"""An owner that has forked a process, as a notebook's multiprocessing does: that one keeps nothing of the engine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

DEADLINE_S = 120
OWNER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from jupyter_tfserve.engine.launch import FREE_PORT, LaunchOptions, prepare_engine

async def run():
    launched = await prepare_engine(Path.cwd(), LaunchOptions(rest_port=FREE_PORT, grpc_port=FREE_PORT))
    connection = await launched.supervisor.start()
    child = os.fork()
    if not child:
        signal.alarm(600)
        while True:
            signal.pause()
    print(json.dumps({
        "engine": connection.pid,
        "url": connection.rest_url,
        "child": child,
        "folder": str(launched.state_dir.path),
        "notes": launched.notes,
    }), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await launched.supervisor.stop()
    launched.close()

for _ in range(2):
    asyncio.run(run())
"""
HOLDER = """
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
signal.pause()
"""
WATCHER = """
import asyncio, os
from jupyter_tfserve.engine.parent import parent_ended
parent = os.getppid()
print("watching", flush=True)
asyncio.run(parent_ended(parent))
print("ended", flush=True)
"""

pytestmark = [pytest.mark.fault, pytest.mark.skipif(sys.platform != "linux", reason="Linux only")]


@pytest.fixture
def owner(tmp_path) -> Iterator[subprocess.Popen[str]]:
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("DATA", "RUNTIME")}
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", OWNER]
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **folders, "PYTHONPATH": path}
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, cwd=tmp_path, env=environment
    ) as process:
        yield process
        process.kill()


@pytest.mark.slow
def test_forked_process_keeps_neither_ports_nor_folder_nor_engine(owner) -> None:
    children = []
    try:
        first = json.loads(owner.stdout.readline())
        children.append(first["child"])
        port = int(first["url"].rpartition(":")[2])
        owner.stdin.write("\n")
        owner.stdin.flush()
        second = json.loads(owner.stdout.readline())
        children.append(second["child"])
        assert (second["folder"], second["notes"]) == (first["folder"], [])
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
            free.listen()
        engine = psutil.Process(second["engine"])
        owner.kill()
        owner.wait()
        # Nobody reaps it here: a container's first process may not.
        assert psutil.wait_procs([engine], DEADLINE_S)[0] or engine.status() == psutil.STATUS_ZOMBIE
        assert all(map(psutil.pid_exists, children))
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def test_parents_end_is_seen_when_another_process_holds_its_end_of_the_pipe() -> None:
    theirs, ours = os.pipe()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, WATCHER], stdin=theirs, stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout.readline() == "watching\n"
            parent.kill()
            assert parent.stdout.readline() == "ended\n"
    finally:
        os.close(theirs)
        os.close(ours)
