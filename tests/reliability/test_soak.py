"""What must not grow: under a mix of everything for long, and over many loads of a large model."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.contract.fuzz import Generator, Tally, fuzz_grpc, fuzz_http
from tests.reliability.lines import SEED, RecordCase
from tests.reliability.oracles import Resources
from tests.reliability.test_storms import rows_request
from tests.reliability.wire import Wire

SOAK_S = float(os.environ.get("TFSERVE_SOAK_S", "120"))
CYCLES = 100
LONG_S = 1800.0
"""From here on warming up is over: a slope says something."""
WARM_BYTES = 64 * 2**20
"""What an engine may keep of the bodies that it has had (`engine/freed_memory.py`); growth from then on is judged."""
BIG_BYTES = 200 * 2**20
MAKE_BIG = """
import sys, tensorflow as tf
module = tf.Module()
module.kept = tf.Variable(tf.ones([{size} // 4]))
module.serve = tf.function(lambda x: {{"y": x + tf.gather(module.kept, [0])}})
spec = tf.TensorSpec([None], tf.float32, name="x")
tf.saved_model.save(module, sys.argv[1], {{"serving_default": module.serve.get_concrete_function(spec)}})
"""


def held_bytes(engine) -> int:
    """Memory of the engine and all of its processes, shared pages counted once.

    Without what is in files: of TensorFlow's own pages each process has its share, by how many of everybody's use them.
    """
    total = 0
    for process in [psutil.Process(engine.process.pid), *engine.processes()]:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            (kilobytes,) = re.findall(r"^Pss_Anon: +(\d+) kB$", rollup, re.M)
            total += int(kilobytes) * 1024
    return total


@pytest.mark.nightly
@pytest.mark.timeout(7200)
async def test_nothing_grows_under_a_mixed_load(engine, oracles, record_case) -> None:
    """L18. The first third warms up: allocators, learned batch sizes, the fuzzer's own peaks."""
    url, address = engine.connection.rest_url, engine.connection.grpc_address
    begun, chance, tally = time.monotonic(), random.Random(SEED), Tally()
    oracles.slack_bytes = WARM_BYTES
    points: list[Point] = []

    def is_over() -> bool:
        return time.monotonic() > begun + SOAK_S

    async def good() -> None:
        wire = await Wire.open(url)
        while not is_over():
            model = chance.choice(["half_plus_two", "slow", "version"])
            row = [1.0] if model == "version" else 1.0
            status, body = await wire.ask(rows_request([row], model))
            assert status == 200, body
            await asyncio.sleep(0.01)
        wire.close()

    async def leaves() -> None:
        while not is_over():
            wire = await Wire.open(url)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(wire.ask(rows_request([1.0], "slow")), 0.01)
            wire.writer.transport.abort()
            await asyncio.sleep(0.05)

    async def noise() -> None:
        generator = Generator(SEED)
        while not is_over():
            await fuzz_http(url, generator, 50, tally, lanes=1)
            await fuzz_grpc(address, generator, 20, tally, lanes=1)
            await asyncio.sleep(0.2)

    async def changes() -> None:
        while not is_over():
            version = chance.choice([1, 2, 3])
            await asyncio.to_thread(
                engine.call, "PUT", "/control/models/version/policy", specific={"versions": [version]}
            )
            wanted = f"/control/models/version/versions/{version}/wait?timeout_s=60"
            await asyncio.to_thread(engine.call, "GET", wanted)
            await asyncio.sleep(0.5)

    async def watch() -> None:
        while not is_over():
            now = Resources.of(engine.process.pid)
            points.append((time.monotonic() - begun, now, len(engine.processes())))
            await asyncio.sleep(SOAK_S / 120)

    await asyncio.gather(good(), good(), good(), good(), leaves(), noise(), changes(), watch())
    assert tally.faults == []
    judge(points, record_case)


Point = tuple[float, Resources, int]
"""Seconds since the start, what the engine holds, how many processes it has."""


def judge(points: list[Point], record_case: RecordCase) -> None:
    """What has become of the engine since it was warm."""
    settled = points[len(points) // 3 :]
    slope = _slope([(at / 3600, now.resident_bytes / 2**20) for at, now, _ in settled])
    grown = settled[-1][1].resident_bytes - settled[0][1].resident_bytes
    record_case(
        "L18", f"engine's memory over the last two thirds of {SOAK_S:.0f} s", grown / 2**20, "MiB more"
    )
    if SOAK_S >= LONG_S:
        record_case("L18", "slope of it", slope, "MB/h")
        assert slope < 5
    record_case("L18", "most descriptors", max(now.descriptors for _, now, _ in settled), "")
    assert grown < 8 * 2**20
    assert max(count for *_, count in points) < 20


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line with the least squares."""
    xs, ys = zip(*points, strict=True)
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return over / sum((x - mean_x) ** 2 for x in xs)


@pytest.fixture
def big_model(tmp_path) -> Path:
    """A model with 200 MB of variables."""
    base = tmp_path / "big"
    code = MAKE_BIG.format(size=BIG_BYTES)
    subprocess.run([sys.executable, "-c", code, str(base / "1")], check=True, capture_output=True)
    yield base
    shutil.rmtree(base)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_memory_is_back_after_loads_and_unloads(engine, oracles, big_model, record_case) -> None:
    def cycle() -> None:
        engine.call("POST", "/control/open", path=str(big_model))
        assert engine.wait_version("big", 1)["state"] == "AVAILABLE"
        assert engine.predict("big", instances=[1.0]) == {"predictions": [2.0]}
        engine.call("DELETE", "/control/models/big")

    def settled() -> int:
        """Once the last worker is gone."""
        deadline = time.monotonic() + 60
        while len(engine.processes()) > processes:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return held_bytes(engine)

    processes = len(engine.processes())
    cycle()
    before = settled()
    for _ in range(CYCLES):
        cycle()
    grown = settled() - before
    record_case(
        "M1",
        f"all processes after {CYCLES} loads of 200 MB",
        grown / 2**20,
        f"MiB more than {before / 2**20:.0f}",
    )
    assert grown < 16 * 2**20
