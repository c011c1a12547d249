"""kill -9 at random moments of workers and of the engine itself, under load, while labels move."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import random
import signal
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from jupyter_tfserve.engine.connection import read_connection
from jupyter_tfserve.engine.launch import LaunchOptions, prepare_engine
from jupyter_tfserve.engine.supervision import SupervisorOptions
from jupyter_tfserve.errors import ServingError
from tests.reliability.lines import SEED
from tests.reliability.oracles import version_of
from tests.reliability.wire import Wire, post

REQUEST = post("/v1/models/version/labels/live:predict", b'{"inputs": [[1.0], [2.0]]}')
STREAMS = 4
KILLS = int(os.environ.get("TFSERVE_KILLS", "200"))
READY_DEADLINE_S = 60.0


@dataclass
class Seen:
    """What came of the load: (sent, ended, version) of answers, and (connection opened, ended) of requests cut off."""

    answers: list[tuple[float, float, int]] = field(default_factory=list)
    cut: list[tuple[float, float]] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


async def keep_asking(url: str, stop: asyncio.Event, seen: Seen) -> None:
    """One request after another, on a new connection when one is cut."""
    while not stop.is_set():
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            wire = await Wire.open(url)
            seen.opened.append(time.monotonic())
            try:
                await ask_until_cut(wire, stop, seen)
            finally:
                wire.close()
        await asyncio.sleep(0.005)


async def ask_until_cut(wire: Wire, stop: asyncio.Event, seen: Seen) -> None:
    opened = time.monotonic()
    while not stop.is_set():
        sent = time.monotonic()
        try:
            status, body = await wire.ask(REQUEST)
        except (OSError, asyncio.IncompleteReadError):
            seen.cut.append((opened, time.monotonic()))
            raise
        if status == 200:
            seen.answers.append((sent, time.monotonic(), version_of(json.loads(body)["outputs"])))
        else:
            seen.wrong.append(f"{status} {body[:200]!r}")


class Server:
    """The supervised engine from outside, and the label's moves: (begun, acknowledged, version)."""

    def __init__(self, connection_file: Path) -> None:
        self._file = connection_file
        self.moves: list[tuple[float, float, int]] = []

    async def call(self, method: str, path: str, **body: object) -> dict:
        answer = await self.send(method, path, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def send(self, method: str, path: str, **body: object) -> httpx.Response:
        connection = read_connection(self._file)
        headers = {"Authorization": f"Bearer {connection.token}"}
        async with httpx.AsyncClient(base_url=connection.control_url, trust_env=False, timeout=60) as client:
            return await client.request(method, path, headers=headers, content=json.dumps(body))

    async def move(self, version: int) -> None:
        begun, acknowledged = time.monotonic(), math.inf
        try:
            answer = await self.send("PUT", "/control/models/version/labels/live", version=version)
        except (httpx.HTTPError, ServingError):
            # The engine died meanwhile: the move may have been made or not.
            pass
        else:
            if answer.status_code != 200:
                assert "not currently available" in answer.text
                return
            acknowledged = time.monotonic()
        self.moves.append((begun, acknowledged, version))

    async def keep_moving(self, stop: asyncio.Event) -> None:
        for version in itertools.cycle([2, 1]):
            if stop.is_set():
                return
            await self.move(version)
            await asyncio.sleep(0.02)

    async def worker_pid(self) -> int:
        """The process of the version that the label names."""
        answer = await self.call(
            "GET", f"/control/models/version/versions/{self.moves[-1][2]}/wait?timeout_s=60"
        )
        return int(answer["pid"])

    def may_answer(self, sent: float, ended: float) -> set[int]:
        """The versions that a request may have seen: the last move acknowledged before it, and any later one."""
        last = max(at for at, (_, acknowledged, _) in enumerate(self.moves) if acknowledged <= sent)
        return {version for begun, _, version in self.moves[last:] if begun <= ended}


@pytest.fixture
def private_jupyter(tmp_path, monkeypatch) -> Path:
    """Connection files, logs and state of this test's own."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return tmp_path


async def answered_after(moment: float, seen: Seen, count: int) -> float:
    """Seconds from then to the first answer of a request sent since; returns when there are `count` of them."""
    while True:
        later = [ended for sent, ended, _ in seen.answers[-5000:] if sent > moment]
        if len(later) >= count:
            return min(later) - moment
        assert time.monotonic() < moment + READY_DEADLINE_S, seen.wrong[:3]
        await asyncio.sleep(0.005)


@pytest.mark.fault
@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_nothing_acknowledged_is_lost_when_processes_are_killed_at_random(
    saved_models, private_jupyter, record_case
) -> None:
    chance = random.Random(SEED)
    supervision = SupervisorOptions(max_restarts=10_000, max_delay_s=0.2)
    launched = await prepare_engine(
        private_jupyter,
        LaunchOptions(arguments=(f"--model_base_path={saved_models}/version", "--model_name=version")),
        supervision=supervision,
    )
    stop, seen = asyncio.Event(), Seen()
    engine_kills: list[float] = []
    ready: dict[str, list[float]] = {"engine": [], "worker": []}
    try:
        connection = await launched.supervisor.start()
        server = Server(launched.supervisor.connection_file)
        (model,) = (await server.call("GET", "/control/state"))["models"]
        assert model["name"] == "version"
        await server.call("PUT", "/control/models/version/policy", specific={"versions": [1, 2]})
        for version in (1, 2):
            await server.call("GET", f"/control/models/version/versions/{version}/wait?timeout_s=60")
        await server.move(1)
        load = [asyncio.ensure_future(keep_asking(connection.rest_url, stop, seen)) for _ in range(STREAMS)]
        load.append(asyncio.ensure_future(server.keep_moving(stop)))
        for _ in range(KILLS):
            await answered_after(time.monotonic(), seen, chance.randint(10, 200))
            victim = chance.choice(["engine", "worker"])
            pid = read_connection(launched.supervisor.connection_file).pid
            if victim == "worker":
                pid = await server.worker_pid()
            killed = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            if victim == "engine":
                engine_kills.append(killed)
            ready[victim].append(await answered_after(killed, seen, 5))
        stop.set()
        await asyncio.gather(*load)
        (model,) = (await server.call("GET", "/control/state"))["models"]
        assert model["labels"]["live"] in server.may_answer(time.monotonic(), time.monotonic())
    finally:
        stop.set()
        await launched.supervisor.stop()
        launched.close()

    wrong = [one for one in seen.answers if one[2] not in server.may_answer(one[0], one[1])]
    stray = [one for one in seen.cut if not any(one[0] <= kill <= one[1] for kill in engine_kills)]
    acknowledged = sum(acknowledged < math.inf for _, acknowledged, _ in server.moves)
    record_case(
        "F1",
        f"wrong or failed answers, {KILLS} kills",
        len(wrong) + len(seen.wrong),
        f"of {len(seen.answers):,}",
    )
    record_case("F1", "acknowledged label moves lost", len(wrong), f"of {acknowledged:,}")
    ready["engine (connections taken)"] = [
        min(at for at in seen.opened if at > kill + 0.02) - kill for kill in engine_kills
    ]
    for victim, times in ready.items():
        if times:
            record_case("F1", f"again after the {victim}, median", statistics.median(times), "s")
            record_case("F1", f"the same, longest of {len(times)}", max(times), "s")
    assert wrong == []
    assert seen.wrong == []
    assert stray == []
    assert len(seen.cut) <= STREAMS * len(engine_kills)
