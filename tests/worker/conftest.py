"""Pools of real workers."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest
import pytest_asyncio

from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.pool import WorkerPool


@pytest_asyncio.fixture(loop_scope="session")
async def make_pool():
    """A started pool with these options, of this test only; closed afterwards."""
    pools = []

    async def make(**options):
        pool = WorkerPool(WorkerOptions(**options))
        pools.append(pool)
        await pool.start()
        return pool

    yield make
    for pool in pools:
        await pool.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def pool():
    """One pool for every test that does not break it: TensorFlow's import takes two seconds."""
    pool = WorkerPool(WorkerOptions())
    await pool.start()
    yield pool
    await pool.close()


@pytest_asyncio.fixture(loop_scope="session")
async def spawn(pool, saved_models):
    """`await spawn("echo")` is a worker that has loaded that model; stopped afterwards."""
    workers = []

    async def spawn_model(name, version=1, pool=pool):
        workers.append(await pool.spawn(ServableId(name, version), saved_models / name / str(version)))
        return workers[-1]

    yield spawn_model
    for worker in workers:
        await worker.stop()


@pytest.fixture
def eventually():
    """Waits until the condition is true, at most `timeout_s`."""

    async def wait(condition, timeout_s=120.0):
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it never became true"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def is_gone():
    """Whether the process has ended and nobody here has yet to reap it; init takes its time with orphans."""

    def gone(pid):
        try:
            process = psutil.Process(pid)
            return process.status() == psutil.STATUS_ZOMBIE and process.ppid() == 1
        except psutil.NoSuchProcess:
            return True

    return gone
