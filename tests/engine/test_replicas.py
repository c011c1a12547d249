"""How many processes serve a version, when some of them cannot be started: made-up faults, no process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from jupyter_tfserve.engine import replicas
from jupyter_tfserve.engine.replicas import RESTART_BACKOFF_S, ReplicaSet, deaths_in_a_row, spawn_all
from jupyter_tfserve.errors import Code, ModelDied, ServingError


class Lane:
    """Stands for a worker's lane; is never run."""


class Worker:
    """Alive until it is stopped, or dies."""

    is_own_fault = False

    def __init__(self) -> None:
        self.lanes = [Lane()]
        self.died: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        if not self.died.done():
            self.died.set_result("stopped")


class Version:
    """Spawns what the list says: a worker for None, else the error. Takes lanes as the scheduler does."""

    def __init__(self, *faults: ServingError | None, prepares: ServingError | None = None) -> None:
        self.faults = list(faults)
        self.prepares = prepares
        self.spawned: list[Worker] = []
        self.lanes: dict[object, int] = {}
        self.failures: list[str] = []
        self.crashes: list[str] = []
        self.is_over = False
        self.replacements: list[bool] = []

    async def spawn(self, is_replacement: bool = False) -> Worker:
        self.replacements.append(is_replacement)
        await asyncio.sleep(0)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.spawned.append(Worker())
        return self.spawned[-1]

    async def prepare(self, worker: Worker) -> None:
        if self.prepares is not None:
            fault, self.prepares = self.prepares, None
            raise fault

    def add_lane(self, lane: object, replica: int = 0) -> None:
        self.lanes[lane] = replica

    def remove_lane(self, lane: object) -> None:
        self.lanes.pop(lane, None)

    def crashed(self, reason: str) -> None:
        self.crashes.append(reason)

    def spawn_failed(self, error: ServingError) -> None:
        self.failures.append(error.message)

    def is_given_up(self, error) -> bool:
        return self.is_over

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in self.spawned if not worker.died.done()]


def replica_set(version: Version) -> ReplicaSet:
    return ReplicaSet(version, version)  # type: ignore[arg-type]


async def until(condition: Callable[[], object]) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 - whatever it is that changes
            await asyncio.sleep(0.001)

    await asyncio.wait_for(poll(), 20)


FULL = ServingError(Code.RESOURCE_EXHAUSTED, "no memory")


async def test_none_is_left_when_one_of_them_does_not_start():
    version = Version(None, FULL, None)
    with pytest.raises(ServingError, match="no memory"):
        await spawn_all([version.spawn] * 3)
    assert version.alive == []


async def test_none_is_left_when_the_load_is_cancelled():
    version = Version()
    never = asyncio.Event()

    async def hang() -> Worker:
        await never.wait()
        return Worker()

    loading = asyncio.ensure_future(spawn_all([version.spawn, hang]))
    await until(lambda: version.spawned)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert version.alive == []


async def test_replicas_have_numbers_of_their_own_and_follow_what_is_asked():
    version = Version()
    replicas = replica_set(version)
    (worker,) = await replicas.start(1)
    replicas.join(worker)
    replicas.resize(3)
    await until(lambda: len(version.lanes) == 3)
    assert len(set(version.lanes.values())) == 3
    replicas.resize(2)
    replicas.resize(1)
    await until(lambda: len(version.lanes) == 1)
    assert version.alive == list(replicas.workers) == [worker]
    await replicas.close()
    assert (version.alive, version.lanes, replicas.workers) == ([], {}, ())


async def test_growth_is_tried_again_when_a_worker_does_not_start_or_fails_its_warm_up(monkeypatch):
    monkeypatch.setattr(replicas, "RESTART_BACKOFF_S", (0.0,))
    cold = ServingError(Code.INTERNAL, "a warm-up request failed")
    version = Version(None, FULL, prepares=cold)
    served = replica_set(version)
    served.join((await served.start(1))[0])
    served.resize(2)
    await until(lambda: len(version.lanes) == 2)
    assert version.failures == ["no memory", "a warm-up request failed"]
    assert len(version.alive) == 2
    await served.close()


async def test_growth_ends_when_the_model_is_given_up():
    version = Version(None, ModelDied(Code.INTERNAL, "abort"))
    served = replica_set(version)
    served.join((await served.start(1))[0])
    version.is_over = True
    served.resize(2)
    await until(lambda: version.failures)
    await served.close()
    assert len(version.spawned) == 1


async def test_only_the_dead_replica_is_replaced_when_one_dies():
    version = Version()
    served = replica_set(version)
    for worker in await served.start(2):
        served.join(worker)
    dead, other = version.spawned
    dead.died.set_result("killed")
    await until(lambda: len(version.spawned) == 3 and len(version.lanes) == 2)
    assert (version.crashes, other.died.done()) == (["killed"], False)
    assert sorted(version.lanes.values()) == [0, 1]
    assert version.replacements == [False, False, True]
    await served.close()


def waits_s(lives_s: list[float]) -> list[float]:
    """How long each replacement waits, for workers that lived so long."""
    deaths, waits = 0, []
    for lived_s in lives_s:
        deaths = deaths_in_a_row(deaths, lived_s)
        waits.append(RESTART_BACKOFF_S[min(deaths, len(RESTART_BACKOFF_S) - 1)])
        deaths += 1
    return waits


def test_worker_is_replaced_at_once_however_often_it_is_killed_when_it_had_lived_for_a_second():
    assert waits_s([1.0] * 50) == [0.0] * 50


def test_worker_is_replaced_later_and_later_when_it_dies_as_soon_as_it_is_up():
    assert waits_s([0.1] * 10) == [0, 0, 0, 0.5, 1, 2, 5, 10, 30, 30]
    assert waits_s([0.1] * 6 + [9.0, 0.1]) == [0, 0, 0, 0.5, 1, 2, 0, 0]
