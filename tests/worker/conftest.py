"""Pools of real workers."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest

from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.pool import WorkerPool


@pytest.fixture
async def make_pool():
    """A started pool with these options; closed afterwards."""
    pools = []

    async def make(**options):
        pool = WorkerPool(WorkerOptions(**options))
        pools.append(pool)
        await pool.start()
        return pool

    yield make
    for pool in pools:
        await pool.close()


@pytest.fixture
async def pool(make_pool):
    return await make_pool()


@pytest.fixture
def spawn(pool, saved_models):
    """`await spawn("echo")` is a worker that has loaded that model."""

    async def spawn_model(name, version=1):
        return await pool.spawn(ServableId(name, version), saved_models / name / str(version))

    return spawn_model


@pytest.fixture
def eventually():
    """Waits until the condition is true, at most `timeout_s`."""

    async def wait(condition, timeout_s=20.0):
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it never became true"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def is_gone():
    """Whether no process has that pid any more; a zombie of ours counts as a process."""

    def gone(pid):
        return not psutil.pid_exists(pid)

    return gone
