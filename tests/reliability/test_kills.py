"""kill -9 at random moments of workers, the engine and the fork server, under load, while a label moves."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.reliability.kill_bench import KillBench, kill_bench, summary
from tests.reliability.lines import SEED

KILLS = int(os.environ.get("TFSERVE_KILLS", "200"))

Ready: TypeAlias = "dict[str, list[float]]"
"""Seconds from a kill to the answer that shows that all is well again, by what was killed."""
Strike: TypeAlias = "Callable[[KillBench, random.Random], Awaitable[tuple[str, float]]]"
"""Kills something; what, and how long it was until a request sent since was answered."""


@pytest.fixture
def private_jupyter(tmp_path, monkeypatch) -> Path:
    """Connection files, logs and state of this test's own."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return tmp_path


async def strike_engine(bench: KillBench, chance: random.Random) -> tuple[str, float]:
    return "engine", await bench.seen.after(bench.kill_engine())


async def strike_worker(bench: KillBench, chance: random.Random) -> tuple[str, float]:
    """Answered by the very version whose process was killed."""
    version, pid = chance.choice([*(await bench.worker_pids()).items()])
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return "worker", await bench.seen.after(killed, version=version)


async def strike_any(bench: KillBench, chance: random.Random) -> tuple[str, float]:
    return await chance.choice([strike_engine, strike_worker])(bench, chance)


async def strike_worker_and_fork_server(bench: KillBench, chance: random.Random) -> tuple[str, float]:
    """The other version's worker lives on; this one's waits for TensorFlow."""
    os.kill(await bench.fork_server_pid(), signal.SIGKILL)
    _, took = await strike_worker(bench, chance)
    return "worker and fork server at once", took


async def strike_engine_and_fork_server(bench: KillBench, chance: random.Random) -> tuple[str, float]:
    pid, killed = await bench.fork_server_pid(), bench.kill_engine()
    os.kill(pid, signal.SIGKILL)
    return "engine and fork server at once", await bench.seen.after(killed)


async def strike_while_loading(bench: KillBench, chance: random.Random) -> tuple[str, float]:
    """As soon as the next engine takes connections, while its versions load, it is killed too."""
    following = asyncio.ensure_future(bench.next_engine())
    await asyncio.sleep(0)
    bench.kill_engine()
    await following
    await asyncio.sleep(chance.uniform(0, 0.1))
    return "engine that loads", await bench.seen.after(bench.kill_engine())


async def strike_in_a_move(bench: KillBench, chance: random.Random) -> tuple[str, float]:
    """While a move of the label is under way, at any point of it."""
    await bench.label.moving.wait()
    await asyncio.sleep(chance.uniform(0, 0.01))
    return "engine in a move", await bench.seen.after(bench.kill_engine())


@pytest.mark.fault
@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("strike", "kills"),
    [
        pytest.param(strike_any, KILLS, id="engine or worker"),
        pytest.param(strike_while_loading, KILLS // 10, id="engine that loads"),
        pytest.param(strike_in_a_move, KILLS // 10, id="engine in a move"),
        pytest.param(strike_worker_and_fork_server, KILLS // 20, id="worker and fork server"),
        pytest.param(strike_engine_and_fork_server, KILLS // 20, id="engine and fork server"),
    ],
)
async def test_nothing_acknowledged_is_lost_when_processes_are_killed_at_random(
    saved_models, private_jupyter, record_case, strike: Strike, kills: int
) -> None:
    chance, ready = random.Random(SEED), {}
    async with kill_bench(saved_models, private_jupyter) as bench:
        for _ in range(kills):
            await bench.seen.after(time.monotonic(), chance.randint(10, 200))
            what, took = await strike(bench, chance)
            ready.setdefault(what, []).append(took)
        await bench.seen.after(time.monotonic(), 10)
    wrong = bench.wrong()
    told(bench, ready, len(wrong), record_case)
    assert not wrong, bench.around(wrong[0][0])
    assert bench.seen.failed == []
    assert bench.stray() == []
    assert bench.seen.refused == []


def told(bench: KillBench, ready: Ready, wrong: int, record_case) -> None:
    """The figures of the case."""
    kills = sum(map(len, ready.values()))
    failed = wrong + len(bench.seen.failed) + len(bench.stray())
    answers = f"of {len(bench.seen.answers):,}"
    record_case("F1", f"wrong or failed answers, {kills} kills ({', '.join(ready)})", failed, answers)
    connections = f"of {bench.seen.opened + len(bench.seen.refused):,}"
    record_case("F1", "new connections refused", len(bench.seen.refused), connections)
    record_case("F1", "acknowledged label moves lost", wrong, f"of {bench.acknowledged():,}")
    for what, times in ready.items():
        for name, figure in summary(times).items():
            record_case("F1", f"answers again after the {what}, {name} of {len(times)}", figure, "s")
