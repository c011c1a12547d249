"""A version that loads gives way to those that serve, and its own callers are served as everybody's."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker import gentle
from jupyter_tfserve.worker.gentle import LOADING, gently

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="threads have priorities on Linux"
)

ORDINARY = os.getpriority(os.PRIO_PROCESS, 0) if sys.platform.startswith("linux") else 0


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def in_a_thread(work) -> list[int]:
    """What `work` gives in a thread whose priority nobody else has."""
    found = []
    thread = threading.Thread(target=lambda: found.extend(work()))
    thread.start()
    thread.join()
    return found


def load(may_stay: bool) -> list[int]:
    """The priorities of a load, of a thread that it makes, and of its thread afterwards."""
    with gently(may_stay):
        during = [nice(), *in_a_thread(lambda: [nice()])]
    return [*during, nice()]


def test_load_gives_way_and_leaves_no_trace_when_priorities_may_be_raised() -> None:
    if not gentle._may_raise():
        pytest.skip("an ordinary user may not")
    assert in_a_thread(lambda: load(False)) == [LOADING, LOADING, ORDINARY]
    assert nice() == ORDINARY


def test_load_leaves_pools_as_they_are_when_they_will_serve_and_cannot_be_raised(monkeypatch) -> None:
    monkeypatch.setattr(gentle, "_may_raise", lambda: False)
    assert in_a_thread(lambda: load(False)) == [ORDINARY, ORDINARY, ORDINARY]


def test_load_gives_way_for_good_when_no_pool_will_serve(monkeypatch) -> None:
    monkeypatch.setattr(gentle, "_may_raise", lambda: False)
    assert in_a_thread(lambda: load(True)) == [LOADING, LOADING, LOADING]
    assert nice() == ORDINARY


def priorities(pid: int) -> list[int]:
    """Of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int((task / "stat").read_text().rpartition(")")[2].split()[16]) for task in tasks]


@pytest.mark.asyncio(loop_scope="session")
async def test_lanes_of_a_loaded_worker_have_the_engines_priority(spawn) -> None:
    worker = await spawn("half_plus_two")
    found = priorities(worker.pid)
    assert found.count(ORDINARY) >= len(worker.lanes)
    assert set(found) == {ORDINARY} or not gentle._may_raise()


@pytest.mark.asyncio(loop_scope="session")
async def test_load_gives_way_beside_workers_unless_requests_wait_for_it(
    pool, spawn, saved_models, monkeypatch
) -> None:
    launch, orders = pool._launcher.launch, []

    async def noted(order, sockets):
        orders.append(order)
        return await launch(order, sockets)

    monkeypatch.setattr(pool._launcher, "launch", noted)
    await spawn("half_plus_two")
    await spawn("half_plus_two")
    path = saved_models / "half_plus_two" / "1"
    await (await pool.spawn(ServableId("m", 1), path, is_replacement=True)).stop()
    assert [order.is_gentle for order in orders] == [False, True, False]
