"""A hundred thousand requests of random bytes at every door: no 500, no hang, no growth of memory."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from jupyter_tfserve.engine.freed_memory import KEPT_BYTES
from tests.contract.engines import config_text, running_engine, wait_loaded
from tests.contract.fuzz import Generator, Tally, described, fuzz_grpc, fuzz_http
from tests.running_engine import RunningEngine

MODELS = ("half_plus_two", "multi_io", "json_echo")
MAX_GROWTH_BYTES = KEPT_BYTES + 16 * 2**20
"""What requests have freed may stay with the engine for the next ones."""
"""Allocators keep what a peak took; a leak of one body per request would be many times that."""


@pytest.fixture(scope="module")
def target(contract_models, tmp_path_factory) -> Iterator[RunningEngine]:
    folder = tmp_path_factory.mktemp("fuzz")
    config, monitoring = folder / "models.config", folder / "monitoring.config"
    config.write_text(config_text({name: contract_models / name for name in MODELS}))
    monitoring.write_text("prometheus_config { enable: true }")
    flags = (
        f"--model_config_file={config}",
        f"--monitoring_config_file={monitoring}",
        "--enable_grpc_healthcheck_service",
    )
    with running_engine(folder, *flags) as running:
        wait_loaded(running, *MODELS)
        yield running


async def fuzz(engine: RunningEngine, seed: int, count: int) -> Tally:
    tally, generator = Tally(), Generator(seed)
    await fuzz_http(engine.connection.rest_url, generator, count * 7 // 10, tally)
    await fuzz_grpc(engine.connection.grpc_address, generator, count - count * 7 // 10, tally)
    return tally


def worker_bytes(engine: RunningEngine) -> int:
    """Memory of all processes of the engine but itself, shared pages counted once."""
    return sum(process.memory_full_info().pss for process in engine.processes())


@contextlib.contextmanager
def stress() -> Iterator[None]:
    """A machine that is busy with something else, as far as stress-ng is there to make it so."""
    program = shutil.which("stress-ng")
    if program is None:
        yield
        return
    command = [program, "--quiet", "--cpu", "1", "--vm", "1", "--vm-bytes", "128M", "--switch", "1"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


async def check(engine: RunningEngine, seed: int, count: int, record_case=None) -> None:
    process = psutil.Process(engine.process.pid)
    await fuzz(engine, seed + 1, count // 5)
    before, workers_before = process.memory_info().rss, worker_bytes(engine)
    began = time.monotonic()
    tally = await fuzz(engine, seed, count - count // 5)
    grown, workers_grown = process.memory_info().rss - before, worker_bytes(engine) - workers_before
    print(f"{count} requests, {time.monotonic() - began:.1f} s, {grown / 2**20:.1f} MiB: {described(tally)}")
    assert tally.faults == []
    # The generator reaches all depths: good answers, refusals, pages, and no answer to no request.
    assert {"200", "400", "404", "0", "OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(tally.answers)
    assert grown < MAX_GROWTH_BYTES
    assert workers_grown < MAX_GROWTH_BYTES
    if record_case is not None:
        record_case("L8", f"the engine's memory after {count:,} requests", grown / 2**20, "MiB more")
        record_case("L8", "its workers' memory", workers_grown / 2**20, "MiB more")
    assert engine.predict("half_plus_two", instances=[1.0, 2.0, 5.0]) == {"predictions": [2.5, 3.0, 4.5]}
    assert engine.rest.get("/readyz").status_code == 200
    assert "Traceback" not in engine.log.read_text()


async def test_ten_thousand_random_requests_do_no_harm(target) -> None:
    await check(target, seed=20_260_730, count=10_000)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
async def test_hundred_thousand_random_requests_do_no_harm(target, record_case) -> None:
    with stress():
        await check(target, seed=int(time.time()), count=90_000, record_case=record_case)
