"""A machine that exists in virtual time only: an engine's loop, a worker's lanes and their callers on a few processors.

The scheduler under test is the real one, on an event loop whose clock moves when somebody computes. What competes for
a processor shares it evenly, so that two batches at once on one processor take twice as long, as they really do.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jupyter_tfserve.batching.overlap import Turns
from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.errors import Overloaded
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors

STAGGER_S = 0.3e-3


@dataclass(frozen=True)
class Costs:
    """Seconds of processor time: of a batch by its rows, of the engine for a request before and after its batch,
    and for a batch. `busy` is the share of a batch in which it computes; the rest it sleeps."""

    batch_s: Callable[[int], float]
    before_s: float = 60e-6
    after_s: float = 30e-6
    merge_s: float = 100e-6
    threads: float = 1.0
    busy: float = 1.0
    scatter: float = 0.0
    """The standard deviation of a batch's time, as a share of it."""


def compute_bound(rows: int) -> float:
    """784-4096-4096-10 on one processor: one row needs no packing of the weights, more rows do."""
    return 0.0024 if rows == 1 else 0.0036 + 0.000137 * rows


@dataclass
class Ran:
    """A batch that was run."""

    rows: int
    began: float
    ended: float
    turns: Turns
    others: int


@dataclass(eq=False)
class _Job:
    left_s: float
    sleep_s: float
    done: asyncio.Future[None]


@dataclass
class Machine:
    """`cpus` processors, the engine on one of them with everybody else. Times are of `now`."""

    costs: Costs
    cpus: float = 1.0
    now: float = 100.0
    latencies: list[tuple[float, float]] = field(default_factory=list)
    ran: list[Ran] = field(default_factory=list)
    cpu_s: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    _jobs: list[_Job] = field(default_factory=list)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _number: int = 0

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Calls `event` on the loop then."""
        self._number += 1
        heapq.heappush(self._events, (when, self._number, event))

    def burn(self, seconds: float) -> None:
        """The engine computes for so long; what the lanes compute goes on beside it, slower."""
        while seconds > 1e-12:
            jobs = len(self._jobs)
            share = min(1.0, self.cpus / (1 + jobs * self.costs.threads))
            step = min(seconds / share, self._next_end(share * 1.0))
            seconds -= step * share
            self._advance(step, share)

    def pass_until(self, deadline: float | None) -> bool:
        """Nobody in the engine computes until something happens; False if nothing ever will."""
        until = min(self._events[0][0] if self._events else float("inf"), self.now + self._next_end(0.0))
        until = min(until, float("inf") if deadline is None else deadline)
        if until == float("inf"):
            return False
        self._advance(max(until - self.now, 0.0), 0.0)
        return True

    def happened(self) -> list[Callable[[], None]]:
        """What is due by now."""
        due = []
        while self._events and self._events[0][0] <= self.now + 1e-12:
            due.append(heapq.heappop(self._events)[2])
        return due

    def run_job(self, seconds: float) -> asyncio.Future[None]:
        """A lane computes so long, and sleeps the rest of its time."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(seconds * self.costs.busy, seconds * (1 - self.costs.busy), done))
        return done

    @property
    def computing(self) -> int:
        """How many lanes compute."""
        return len(self._jobs)

    def _rate(self, engine_share: float) -> float:
        jobs = len(self._jobs)
        return (
            min(self.costs.threads, (self.cpus - engine_share) / jobs) / self.costs.threads if jobs else 0.0
        )

    def _next_end(self, engine_share: float) -> float:
        rate = self._rate(engine_share)
        return (
            min((job.left_s / rate for job in self._jobs), default=float("inf")) if rate > 0 else float("inf")
        )

    def _advance(self, seconds: float, engine_share: float) -> None:
        rate = self._rate(engine_share)
        self.now += seconds
        for job in list(self._jobs):
            job.left_s -= seconds * rate
            self.cpu_s += seconds * rate * self.costs.threads
            if job.left_s <= 1e-12:
                self._jobs.remove(job)
                self.at(self.now + job.sleep_s, lambda job=job: job.done.set_result(None))


class _Selector(selectors.BaseSelector):
    """No sockets: waiting is what moves the clock."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.loop: asyncio.AbstractEventLoop | None = None

    def select(self, timeout: float | None = None) -> list[Any]:
        machine = self._machine
        due = machine.happened()
        if not due and (timeout is None or timeout > 0):
            assert machine.pass_until(None if timeout is None else machine.now + timeout), (
                "nobody will wake up"
            )
            due = machine.happened()
        for event in due:
            assert self.loop is not None
            self.loop.call_soon(event)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return {}

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on the machine's clock."""

    def __init__(self, machine: Machine) -> None:
        selector = _Selector(machine)
        super().__init__(selector)
        selector.loop = self
        self._machine = machine
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._machine.now


class SimulatedLane:
    """A lane of the machine's worker."""

    compute_s = busy_share = 0.0

    def __init__(self, machine: Machine, scheduler: BatchScheduler) -> None:
        self._machine = machine
        self._scheduler = scheduler

    async def run_batch(
        self, signature: str, inputs: Tensors, outputs: tuple[str, ...], timeout_s: float | None
    ) -> Tensors:
        machine = self._machine
        machine.burn(machine.costs.merge_s)
        rows = len(inputs["x"])
        began, turns, others = machine.now, self._scheduler.turns, machine.computing
        await machine.run_job(
            machine.costs.batch_s(rows) * machine.chance.lognormvariate(0, machine.costs.scatter)
        )
        machine.ran.append(Ran(rows, began, machine.now, turns, others))
        self.compute_s = machine.now - began
        self.busy_share = machine.costs.busy * min(machine.costs.threads / machine.cpus, 1.0)
        return {"y": inputs["x"]}


class Simulation:
    """Callers of one model on one machine."""

    def __init__(
        self, costs: Costs, cpus: float = 1.0, options: BatchOptions | None = None, lanes: int = 2
    ) -> None:
        self.machine = Machine(costs, cpus)
        self.scheduler = BatchScheduler(
            options or BatchOptions(verify=False), lambda: self.machine.now, cpu_s=lambda: self.machine.cpu_s
        )
        self.refused = 0
        self._lanes = lanes
        self._row = {"x": np.zeros((1, 1), np.float32)}

    def closed(self, callers: int, seconds: float, think_s: float = 50e-6) -> float:
        """Each caller asks again as soon as it is answered; answers a second."""
        until = self.machine.now + seconds
        began = len(self.machine.latencies)

        def ask() -> None:
            task = asyncio.ensure_future(self._request(self.machine.now))
            task.add_done_callback(again)

        def again(_: object) -> None:
            if self.machine.now < until:
                self.machine.at(self.machine.now + think_s, ask)

        self._run(callers, ask, until)
        return (len(self.machine.latencies) - began) / seconds

    def open(self, rate: float, seconds: float, seed: int = 1) -> list[float]:
        """So many requests a second at random times; their latencies in order of size."""
        chance = random.Random(seed)
        began = len(self.machine.latencies)
        when, until = self.machine.now, self.machine.now + seconds
        while (when := when + chance.expovariate(rate)) < until:
            self.machine.at(when, lambda due=when: asyncio.ensure_future(self._request(due)))
        self._run(0, lambda: None, until)
        return sorted(latency for _, latency in self.machine.latencies[began:])

    async def _request(self, due: float) -> None:
        self.machine.burn(self.machine.costs.before_s)
        try:
            await self.scheduler.submit("s", self._row, ("y",))
        except Overloaded:
            self.refused += 1
            return
        self.machine.burn(self.machine.costs.after_s)
        self.machine.latencies.append((due, self.machine.now - due))

    def _run(self, callers: int, ask: Callable[[], None], until: float) -> None:
        async def main() -> None:
            if not self.scheduler.statistics().lanes:
                for _ in range(self._lanes):
                    self.scheduler.add_lane(SimulatedLane(self.machine, self.scheduler))
            for number in range(callers):
                # Not all at once: nobody is in step with the others at first.
                self.machine.at(self.machine.now + number * STAGGER_S, ask)
            await asyncio.sleep(until - self.machine.now)
            me = asyncio.current_task()
            while others := asyncio.all_tasks() - {me}:
                await asyncio.wait(others)

        run(self.machine, main())


def run(machine: Machine, main: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine in the machine's time."""
    loop = VirtualLoop(machine)
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


def percentile(ordered: list[float], percent: float) -> float:
    """Of latencies in order."""
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]
