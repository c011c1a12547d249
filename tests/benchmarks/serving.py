"""Servers as processes of their own: started, waited for, ended with all their children."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil

from tests.benchmarks.calls import Call, WrongAnswer, check
from tests.benchmarks.machine import pin
from tests.benchmarks.models import ROOT

START_DEADLINE_S = 300
_LOG_TAIL = 400


class NotStarted(Exception):
    """A server ended, or did not answer in time; says why as far as its log does."""


class NotInstalled(NotStarted):
    """There is nothing to start."""


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, cores: tuple[int, ...], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, pinned to `cores`; it and all that it started are gone afterwards."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=variables,
        )
        pin(process.pid, cores)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks the process to end, then makes it and every child."""
    family = _family(process.pid)
    # One that sleeps would hear nothing.
    resume(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.kill()
    process.wait()


def pause(pid: int) -> None:
    """Lets the process and all below it sleep: some servers compute a good part of a core when nobody asks them."""
    for one in _family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.suspend()


def resume(pid: int) -> None:
    """Wakes what `pause` has put to sleep."""
    for one in reversed(_family(pid)):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.resume()


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def cpu_seconds(pid: int) -> float:
    """What the process and all below it have computed so far."""
    total = 0.0
    for one in _family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def wait_right(
    process: subprocess.Popen[bytes],
    log: Path,
    call: Call,
    expected: Any,
    deadline_s: float = START_DEADLINE_S,
) -> bytes:
    """The answer once the server gives the right one; else NotStarted, which says what it gave."""
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            return check(call, expected)
        except (httpx.HTTPError, grpc.RpcError, WrongAnswer, ValueError, LookupError, TypeError) as error:
            # While it starts a server may answer that it has no such model, in JSON of any other kind.
            if process.poll() is not None:
                raise NotStarted(f"it ended with {process.returncode}: {last_words(log)}") from error
            if time.monotonic() > deadline:
                raise NotStarted(f"{error or type(error).__name__}; {last_words(log)}") from error
        time.sleep(0.2)


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true answer; NotStarted after a deadline."""
    deadline = time.monotonic() + START_DEADLINE_S
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise NotStarted(what)
        time.sleep(0.05)
    return answer


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def last_words(log: Path) -> str:
    """The end of what a server has logged."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-_LOG_TAIL:]
