"""Workers for the engine: one process per loaded version, from `spawn` until it is gone.

Belongs to the engine's event loop. Imports no TensorFlow. Whatever a model does, hang, abort or eat memory,
happens in its process; here it is an error with one line of text.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from jupyter_tfserve.errors import Code, ModelDied, ServingError, invalid_argument
from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.control import ControlConnection
from jupyter_tfserve.worker.cpus import usable_cpus
from jupyter_tfserve.worker.death import Death
from jupyter_tfserve.worker.frame import FrameError, decode_report
from jupyter_tfserve.worker.fresh import FreshLauncher
from jupyter_tfserve.worker.lane import Call, Lane
from jupyter_tfserve.worker.launcher import ForkServerLauncher
from jupyter_tfserve.worker.memory import check_fits
from jupyter_tfserve.worker.order import (
    LITE_MODEL,
    MAX_SOCKETS,
    PROFILE,
    PROFILE_START,
    PROFILE_STOP,
    WorkerOrder,
)
from jupyter_tfserve.worker.process import Launcher, WorkerProcess

MAX_LANES: Final = MAX_SOCKETS - 2
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
    ended, asked or not; `is_own_fault` says then whether its model did it.
    """

    def __init__(
        self,
        servable: ServableId,
        process: WorkerProcess,
        connections: Connections,
        signature_defs: bytes,
        stop_timeout_s: float,
    ) -> None:
        self.servable = servable
        self.pid = process.pid
        self.signature_defs = signature_defs
        self.lanes = connections.lanes
        loop = asyncio.get_running_loop()
        self.died: asyncio.Future[str] = loop.create_future()
        self.is_own_fault = False
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

    def kill(self) -> None:
        """Ends the process now; `died` resolves when it is gone."""
        self._process.kill()

    async def _watch(self) -> None:
        control = self._connections.control
        ends: list[asyncio.Future[Any]] = [control.ended, self._process.exited]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        death = await _ended(self._process, control)
        self.is_own_fault = death.is_own_fault
        reason = f"worker process died{death.how}"
        self._connections.lose(reason)
        self.died.set_result(reason)


class WorkerPool:
    """Starts workers, from one fork server where that is safe; none outlives `close`, or the engine."""

    def __init__(self, options: WorkerOptions, launcher: Launcher | None = None) -> None:
        for name in ("lanes", "num_tflite_pools"):
            if getattr(options, name) > MAX_LANES:
                raise invalid_argument(f"{name} must be at most {MAX_LANES}; was {getattr(options, name)}")
        self._options = options
        self._launcher = launcher or _best_launcher()
        self._spawning: set[asyncio.Task[Worker]] = set()
        self._workers: set[Worker] = set()
        self._closed = False

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those that have loaded their models and are alive."""
        return tuple(self._workers)

    async def start(self) -> None:
        """Starts the fork server; returns before it has imported TensorFlow."""
        await self._launcher.start()

    async def spawn(self, servable: ServableId, path: Path, session_config: bytes | None = None) -> Worker:
        """A worker that has loaded the SavedModel in `path`; `session_config` counts instead of the options'.

        ServingError: the model's own, RESOURCE_EXHAUSTED when it would not fit into memory, DEADLINE_EXCEEDED
        after `load_timeout_s`, INTERNAL when its process died (`ModelDied` by its own fault). Whatever way it
        fails, or if it is cancelled, the process is gone, or on its way if the engine had not heard of it yet.
        """
        if self._closed:
            raise _stopping()
        await asyncio.to_thread(check_fits, servable, path, self._options.memory_estimate_factor)
        # TensorFlow's own import, seconds from a cold disk, does not count as the model's time.
        await self._launcher.ready()
        order = self._order(path, self._options.session_config if session_config is None else session_config)
        task = asyncio.get_running_loop().create_task(self._spawn(servable, path, order))
        self._spawning.add(task)
        task.add_done_callback(self._spawning.discard)
        try:
            done, _ = await asyncio.wait([task], timeout=self._options.load_timeout_s)
        except asyncio.CancelledError:
            await _give_up(task)
            raise
        if not done:
            await _give_up(task)
            limit_s = self._options.load_timeout_s
            raise ServingError(
                Code.DEADLINE_EXCEEDED, f"Loading servable {servable} took longer than {limit_s:g} s"
            )
        if task.cancelled():
            raise _stopping()
        return task.result()

    async def close(self) -> None:
        """Stops every worker; they and the fork server are gone afterwards."""
        self._closed = True
        for task in self._spawning:
            task.cancel()
        if self._spawning:
            await asyncio.wait(self._spawning)
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        await self._launcher.close()

    async def _spawn(self, servable: ServableId, path: Path, order: WorkerOrder) -> Worker:
        ours, theirs = _socket_pairs(2 + self._lane_count(path))
        try:
            process = await self._launcher.launch(order, theirs)
        except BaseException:
            _close_all(ours)
            raise
        finally:
            _close_all(theirs)
        connections = Connections(ControlConnection(), Lane(), [Lane() for _ in ours[2:]])
        try:
            signature_defs = await self._load(process, connections, ours)
        except BaseException:
            await _abandon(process, connections)
            _close_all(ours)
            raise
        worker = Worker(servable, process, connections, signature_defs, self._options.stop_timeout_s)
        self._workers.add(worker)
        worker.died.add_done_callback(lambda _: self._workers.discard(worker))
        return worker

    async def _load(
        self, process: WorkerProcess, connections: Connections, sockets: Sequence[socket.socket]
    ) -> bytes:
        """The signature definitions of the model that the process has loaded."""
        loop = asyncio.get_running_loop()
        control = connections.control
        for end, sock in zip([control, connections.side, *connections.lanes], sockets, strict=True):
            await loop.create_unix_connection(lambda end=end: end, sock=sock)  # type: ignore[misc]
        frame = await control.report
        if frame is None:
            death = await _ended(process, control)
            kind = ModelDied if death.is_own_fault else ServingError
            raise kind(Code.INTERNAL, f"worker process died while loading{death.how}")
        try:
            return decode_report(frame)
        except FrameError as error:
            raise ServingError(Code.INTERNAL, "worker process sent no proper report") from error

    def _lane_count(self, path: Path) -> int:
        options = self._options
        if options.prefer_tflite_model and options.num_tflite_pools and (path / LITE_MODEL).is_file():
            return options.num_tflite_pools
        return options.lanes

    def _order(self, path: Path, session_config: bytes) -> WorkerOrder:
        return WorkerOrder(
            path=os.path.abspath(path),
            tags=self._options.saved_model_tags,
            # TensorFlow's own default knows the affinity mask, but no quota.
            intra_op_parallelism=self._options.intra_op_parallelism or usable_cpus(),
            inter_op_parallelism=self._options.inter_op_parallelism,
            session_config=base64.b64encode(session_config).decode(),
            xla_cpu_compilation_enabled=self._options.xla_cpu_compilation_enabled,
            prefer_tflite_model=self._options.prefer_tflite_model,
            custom_op_libraries=self._options.custom_op_libraries,
            max_memory_bytes=self._options.max_worker_memory_mb * 2**20,
        )


def _best_launcher() -> Launcher:
    # Elsewhere a fork of a process that has loaded TensorFlow and the system's frameworks may crash.
    return ForkServerLauncher() if sys.platform.startswith("linux") else FreshLauncher()


async def _give_up(task: asyncio.Task[Worker]) -> None:
    """Ends a spawn, even one that succeeds at this very moment."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await task.result().stop()


async def _abandon(process: WorkerProcess, connections: Connections) -> None:
    """Ends a process that never became a worker."""
    process.kill()
    connections.control.close()
    connections.lose("worker process died")
    await asyncio.wait([process.exited])


async def _ended(process: WorkerProcess, control: ControlConnection) -> Death:
    """Makes sure that a process whose sockets have ended is gone; how it ended."""
    await asyncio.wait([process.exited], timeout=EXIT_TIMEOUT_S)
    process.kill()
    control.close()
    await asyncio.wait([process.exited])
    return process.death


def _socket_pairs(count: int) -> tuple[list[socket.socket], list[socket.socket]]:
    """Our ends, that never block, and the worker's."""
    ours: list[socket.socket] = []
    theirs: list[socket.socket] = []
    try:
        for _ in range(count):
            one, other = socket.socketpair()
            one.setblocking(False)
            ours.append(one)
            theirs.append(other)
    except OSError as error:
        _close_all([*ours, *theirs])
        raise ServingError(
            Code.RESOURCE_EXHAUSTED, f"No sockets for another worker: {error.strerror}"
        ) from error
    return ours, theirs


def _close_all(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _stopping() -> ServingError:
    return ServingError(Code.UNAVAILABLE, "No worker can be started: the engine is stopping")
