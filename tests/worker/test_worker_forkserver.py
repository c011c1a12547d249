"""Workers and the fork server that makes them: it may die at any moment."""

from __future__ import annotations

import asyncio
import os

import numpy as np
import pytest

from jupyter_tfserve.worker.frame import Call
from jupyter_tfserve.worker.lane import LaneLost
from tests.worker.worker_calls import answer, fork_server_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

POISON = Call("serving_default", {"x": np.array([-1], "f4")})


@pytest.mark.fault
async def test_workers_live_on_and_new_ones_start_when_the_fork_server_is_killed(
    make_pool, spawn, is_gone, eventually
):
    pool = await make_pool()
    old = await spawn("half_plus_two", pool=pool)
    killed = fork_server_of(os.getpid())
    killed.kill()
    await eventually(lambda: is_gone(killed.pid))
    assert await answer(old) == [2.5, 3]
    new = await spawn("half_plus_two", pool=pool)
    assert await answer(new) == [2.5, 3]
    await old.stop()
    assert old.died.result() == "worker process died"
    await eventually(lambda: is_gone(old.pid))


@pytest.mark.fault
async def test_orphaned_worker_is_killed_when_it_hangs_and_is_stopped(make_pool, spawn, is_gone, eventually):
    pool = await make_pool(stop_timeout_s=0.1)
    worker = await spawn("hang_run", pool=pool)
    running = asyncio.ensure_future(worker.lanes[0].run(POISON))
    await asyncio.sleep(0)
    fork_server_of(os.getpid()).kill()
    await worker.stop()
    await eventually(lambda: is_gone(worker.pid))
    with pytest.raises(LaneLost):
        await running


@pytest.mark.fault
async def test_spawn_succeeds_when_the_fork_server_is_killed_before_it_forked(make_pool, spawn):
    pool = await make_pool()
    await (await spawn("half_plus_two", pool=pool)).stop()
    server = fork_server_of(os.getpid())
    server.suspend()
    spawning = asyncio.ensure_future(spawn("half_plus_two", pool=pool))
    for _ in range(5):
        await asyncio.sleep(0)
    server.kill()
    assert await answer(await spawning) == [2.5, 3]
