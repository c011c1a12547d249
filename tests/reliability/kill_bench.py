"""A supervised engine under load while a label moves, for cases that kill its processes: what was seen, and when.

Nothing polls: whoever waits for answers is told by the load itself.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import json
import math
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from jupyter_tfserve.engine.connection import Connection, read_connection
from jupyter_tfserve.engine.launch import Launched, LaunchOptions, prepare_engine
from jupyter_tfserve.engine.supervision import SupervisorOptions, SupervisorState
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.lifecycle.changes import Changes
from tests.reliability.oracles import version_of
from tests.reliability.wire import Wire, post

REQUEST = post("/v1/models/version/labels/live:predict", b'{"inputs": [[1.0], [2.0]]}')
STREAMS = 4
VERSIONS = (1, 2)
READY_DEADLINE_S = 120.0
RETRY_S = 0.004
"""How soon a client connects anew."""


@dataclass
class Wait:
    """For so many answers of requests sent after a moment, of one version or of any."""

    since: float
    count: int
    version: int | None
    done: asyncio.Future[float]

    def see(self, sent: float, ended: float, version: int) -> None:
        if sent <= self.since or self.version not in (None, version) or self.done.done():
            return
        self.count -= 1
        if self.count == 0:
            self.done.set_result(ended)


@dataclass
class Seen:
    """What came of the load: (sent, ended, version) of answers, and (connection begun, ended) of requests cut off."""

    answers: list[tuple[float, float, int]] = field(default_factory=list)
    cut: list[tuple[float, float]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    """When a new connection was refused."""
    opened: int = 0
    failed: list[str] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)

    def answered(self, sent: float, ended: float, version: int) -> None:
        self.answers.append((sent, ended, version))
        for wait in self.waits:
            wait.see(sent, ended, version)

    async def after(self, moment: float, count: int = 1, version: int | None = None) -> float:
        """Seconds from then to the answer that makes so many, of requests sent since."""
        wait = Wait(moment, count, version, asyncio.get_running_loop().create_future())
        self.waits.append(wait)
        try:
            return await asyncio.wait_for(wait.done, READY_DEADLINE_S) - moment
        except asyncio.TimeoutError:
            raise AssertionError(
                f"no {count} answers of {version or 'any version'}: {self.failed[:3]}"
            ) from None
        finally:
            self.waits.remove(wait)


async def keep_asking(url: str, stop: asyncio.Event, seen: Seen) -> None:
    """One request after another, on a new connection when one is cut."""
    while not stop.is_set():
        await ask_until(stop, url, seen)
        await asyncio.sleep(RETRY_S)


async def keep_connecting(url: str, stop: asyncio.Event, seen: Seen) -> None:
    """One new connection after another, for a request each."""
    while not stop.is_set():
        await ask_until(stop, url, seen, most=1)
        await asyncio.sleep(RETRY_S)


async def ask_until(stop: asyncio.Event, url: str, seen: Seen, most: float = math.inf) -> None:
    """On a new connection, until that is cut, and so many requests at most."""
    began = time.monotonic()
    try:
        wire = await Wire.open(url)
    except OSError:
        seen.refused.append(began)
        return
    seen.opened += 1
    asked = 0
    try:
        while asked < most and not stop.is_set():
            await ask_once(wire, seen)
            asked += 1
    except (OSError, asyncio.IncompleteReadError):
        seen.cut.append((began, time.monotonic()))
    finally:
        wire.close()


async def ask_once(wire: Wire, seen: Seen) -> None:
    sent = time.monotonic()
    status, body = await wire.ask(REQUEST)
    if status == 200:
        seen.answered(sent, time.monotonic(), version_of(json.loads(body)["outputs"]))
    else:
        seen.failed.append(f"{status} {body[:200]!r}")


class Refused(Exception):
    """What the engine says."""


class Label:
    """The label's moves: (begun, acknowledged, version); `moving` is set while one is under way."""

    def __init__(self, connection_file: Path) -> None:
        self._file = connection_file
        self._wire: tuple[str, Wire] | None = None
        self.moves: list[tuple[float, float, int]] = []
        self.moving = asyncio.Event()

    async def move(self, version: int) -> None:
        begun, acknowledged = time.monotonic(), math.inf
        self.moving.set()
        try:
            answer = await self.call("PUT", "/control/models/version/labels/live", {"version": version})
        except Refused:  # a version that is still loading may not be labelled: nothing has changed
            return
        finally:
            self.moving.clear()
        if answer is not None:
            acknowledged = time.monotonic()
        # Else the engine died meanwhile: the move may have been made or not.
        self.moves.append((begun, acknowledged, version))

    async def keep_moving(self, stop: asyncio.Event) -> None:
        for version in itertools.cycle(reversed(VERSIONS)):
            if stop.is_set():
                return
            await self.move(version)
            await asyncio.sleep(0.02)

    async def call(self, method: str, path: str, body: dict | None = None) -> dict | None:
        """The engine's answer; None if it died meanwhile. `Refused` for a version that is not available."""
        try:
            connection = read_connection(self._file)
            wire = await self._connected(connection)
            status, text = await wire.ask(_request(method, path, connection, body or {}))
        except (OSError, asyncio.IncompleteReadError, ServingError):
            self.close()
            return None
        if b"not currently available" in text:
            raise Refused(text)
        assert status == 200, text
        return json.loads(text)

    def close(self) -> None:
        if self._wire is not None:
            self._wire[1].close()
            self._wire = None

    async def _connected(self, connection: Connection) -> Wire:
        if self._wire is None or self._wire[0] != connection.token:
            self.close()
            self._wire = (connection.token, await Wire.open(connection.control_url))
        return self._wire[1]


def _request(method: str, path: str, connection: Connection, body: dict) -> bytes:
    host = urlsplit(connection.control_url).netloc
    content = json.dumps(body)
    return (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {connection.token}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n{content}"
    ).encode()


class KillBench:
    """The engine, its load and its label; and the kills that were made: when, and of what."""

    def __init__(self, launched: Launched, changes: Changes) -> None:
        self.launched = launched
        self.changes = changes
        """Announces the supervisor's."""
        self.seen = Seen()
        self.label = Label(launched.supervisor.connection_file)
        self.asker = Label(launched.supervisor.connection_file)
        self.engine_deaths: list[float] = []

    @property
    def engine_pid(self) -> int:
        """Of one that does not answer yet, too."""
        process = self.launched.supervisor._process
        assert process is not None
        return process.pid

    async def worker_pids(self) -> dict[int, int]:
        """The processes of the versions, once each has one."""
        found: dict[int, int] = {}
        deadline = time.monotonic() + READY_DEADLINE_S
        while len(found) < len(VERSIONS):
            assert time.monotonic() < deadline, found
            for version in VERSIONS:
                path = f"/control/models/version/versions/{version}/wait?timeout_s=60"
                answer = await self.asker.call("GET", path)
                if answer is not None and answer["pid"]:
                    found[version] = answer["pid"]
            await asyncio.sleep(0)
        return found

    async def fork_server_pid(self) -> int:
        """The engine's child, or, since the engine has adopted it, the parent of the workers."""
        deadline = time.monotonic() + READY_DEADLINE_S
        while time.monotonic() < deadline:
            for pid in (self.engine_pid, *(await self.worker_pids()).values()):
                with contextlib.suppress(psutil.Error, AttributeError):
                    for process in (psutil.Process(pid).parent(), *psutil.Process(pid).children()):
                        if "forkserver" in " ".join(process.cmdline()):
                            return process.pid
            await asyncio.sleep(0.01)  # it is just being started again
        raise AssertionError("there is no fork server")

    def kill_engine(self) -> float:
        """When."""
        pid, killed = self.engine_pid, time.monotonic()
        self.engine_deaths.append(killed)
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is its own
        return killed

    async def next_engine(self) -> None:
        """Returns when another engine than the one that runs now answers; its versions still load."""
        pid, supervisor = self.engine_pid, self.launched.supervisor

        def runs() -> bool | None:
            status = supervisor.status()
            return (status.state is SupervisorState.RUNNING and status.pid != pid) or None

        await self.changes.wait_until(runs)

    def wrong(self) -> list[tuple[float, float, int]]:
        """Answers of a version that the label did not name then: a move that was acknowledged was lost.

        It may have named that of the last move acknowledged before the request was sent, and any later one's.
        """
        moves = self.label.moves
        begun = [at for at, _, _ in moves]
        ends = [(at, number) for number, (_, at, _) in enumerate(moves) if at < math.inf]

        def may_be(sent: float, ended: float) -> set[int]:
            last = ends[bisect.bisect_right(ends, (sent, len(moves))) - 1][1]
            return {version for _, _, version in moves[last : bisect.bisect_right(begun, ended)]}

        return [one for one in self.seen.answers if one[2] not in may_be(one[0], one[1])]

    def around(self, moment: float) -> str:
        """What happened about then, for whoever must understand a failure; times relative to it, in seconds."""
        moves = [(b - moment, a - moment, v) for b, a, v in self.label.moves if abs(b - moment) < 2]
        answers = [(s - moment, e - moment, v) for s, e, v in self.seen.answers if abs(s - moment) < 0.2]
        kills = [kill - moment for kill in self.engine_deaths if abs(kill - moment) < 5]
        return f"engine killed {kills}\nmoves {moves}\nanswers {answers}"

    def stray(self) -> list[tuple[float, float]]:
        """Requests that were cut off, no engine killed under them: who connects after a kill waits for the next one."""
        return [
            (began, ended)
            for began, ended in self.seen.cut
            if not any(began <= killed <= ended for killed in self.engine_deaths)
        ]

    def acknowledged(self) -> int:
        return sum(acknowledged < math.inf for _, acknowledged, _ in self.label.moves)


@contextlib.asynccontextmanager
async def kill_bench(saved_models: Path, folder: Path) -> AsyncIterator[KillBench]:
    """A running one. The supervisor restarts at once however often, for kills come faster here than it bears."""
    supervision = SupervisorOptions(max_restarts=100_000, max_delay_s=0)
    arguments = (f"--model_base_path={saved_models}/version", "--model_name=version")
    changes = Changes()
    launched = await prepare_engine(
        folder,
        LaunchOptions(arguments=arguments),
        supervision=supervision,
        on_change=lambda _: changes.announce(),
    )
    bench, stop, load = KillBench(launched, changes), asyncio.Event(), []
    try:
        connection = await launched.supervisor.start()
        policy = {"specific": {"versions": list(VERSIONS)}}
        await bench.label.call("PUT", "/control/models/version/policy", policy)
        await bench.worker_pids()
        await bench.label.move(VERSIONS[0])
        load = [
            asyncio.ensure_future(keep_asking(connection.rest_url, stop, bench.seen)) for _ in range(STREAMS)
        ]
        load.append(asyncio.ensure_future(keep_connecting(connection.rest_url, stop, bench.seen)))
        load.append(asyncio.ensure_future(bench.label.keep_moving(stop)))
        yield bench
        stop.set()
        await asyncio.gather(*load)
    finally:
        stop.set()
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)
        bench.label.close()
        bench.asker.close()
        await launched.supervisor.stop()
        launched.close()


def percentile(times: list[float], share: float) -> float:
    """The value that so much of `times` is not above."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def summary(times: list[float]) -> dict[str, float]:
    """Median, p99 and the longest."""
    return {"median": statistics.median(times), "p99": percentile(times, 0.99), "longest": max(times)}
