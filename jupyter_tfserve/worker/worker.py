"""One loaded version's process, as the engine holds it from the end of its load until it is gone.

Belongs to the engine's event loop. Imports no TensorFlow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.control import ControlConnection
from jupyter_tfserve.worker.death import Death
from jupyter_tfserve.worker.devices import CPU
from jupyter_tfserve.worker.lane import Call, Lane
from jupyter_tfserve.worker.order import PROFILE, PROFILE_START, PROFILE_STOP
from jupyter_tfserve.worker.process import WorkerProcess

EXIT_TIMEOUT_S: Final = 2.0
"""How long a process may take to end, or its end to be reported, after its control socket has ended."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The engine's ends of a worker's sockets. The side lane carries what is no prediction."""

    control: ControlConnection
    side: Lane
    lanes: Sequence[Lane]

    def lose(self, reason: str) -> None:
        """Fails whatever is in flight."""
        for lane in (self.side, *self.lanes):
            lane.lose(reason)


class Worker:
    """One loaded version's process. Made by `WorkerPool.spawn`.

    `signature_defs` is a serialized SignatureDefMap. `died` resolves with one line when the process has
    ended, asked or not; `is_own_fault` says then whether its model did it. `device` is `CPU` or a GPU's name.
    """

    def __init__(
        self,
        servable: ServableId,
        process: WorkerProcess,
        connections: Connections,
        signature_defs: bytes,
        stop_timeout_s: float,
        device: str = CPU,
    ) -> None:
        self.servable = servable
        self.device = device
        self.pid = process.pid
        self.signature_defs = signature_defs
        self.lanes = connections.lanes
        loop = asyncio.get_running_loop()
        self.died: asyncio.Future[str] = loop.create_future()
        self.is_own_fault = False
        self._why_killed = ""
        self._process = process
        self._connections = connections
        self._stop_timeout_s = stop_timeout_s
        self._watching = loop.create_task(self._watch())

    async def start_profile(self, options: Mapping[str, int]) -> None:
        """Begins to record what the process does; `options` are fields of TensorFlow's `ProfilerOptions`.

        ALREADY_EXISTS while another profile is taken.
        """
        side = self._connections.side
        if side.busy:
            raise ServingError(Code.ALREADY_EXISTS, "A profile of this model is being taken")
        await side.run(Call(PROFILE_START, {name: np.array(value) for name, value in options.items()}))

    async def stop_profile(self) -> bytes:
        """What was recorded, a serialized XSpace; empty if that is nothing. Never cancel it half-way."""
        result = await self._connections.side.run(Call(PROFILE_STOP, {}))
        recorded = result.outputs.get(PROFILE)
        return b"" if recorded is None else bytes(recorded[0])

    async def stop(self) -> None:
        """Lets batches in hand end, for at most `stop_timeout_s`, then kills. The process is gone then."""
        for lane in self.lanes:
            lane.finish()
        await asyncio.wait([self.died], timeout=self._stop_timeout_s)
        if not self.died.done():
            self._process.kill()
            await asyncio.wait([self.died])

    def kill(self, why: str) -> None:
        """Ends the process now; `died` resolves with `why` when it is gone."""
        self._why_killed = why
        self._process.kill()

    async def _watch(self) -> None:
        control = self._connections.control
        ends: list[asyncio.Future[Any]] = [control.ended, self._process.exited]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        death = await ended(self._process, control)
        self.is_own_fault = death.is_own_fault
        reason = self._why_killed or f"worker process died{death.how}"
        self._connections.lose(reason)
        self.died.set_result(reason)


async def ended(process: WorkerProcess, control: ControlConnection) -> Death:
    """Makes sure that a process whose sockets have ended is gone; how it ended."""
    await asyncio.wait([process.exited], timeout=EXIT_TIMEOUT_S)
    process.kill()
    control.close()
    await asyncio.wait([process.exited])
    return process.death
