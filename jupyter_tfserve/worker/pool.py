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
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from jupyter_tfserve.errors import Code, ModelDied, ModelHung, ServingError, invalid_argument
from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.control import ControlConnection
from jupyter_tfserve.worker.cpus import usable_cpus
from jupyter_tfserve.worker.device_placement import Occupant, choose_gpu
from jupyter_tfserve.worker.devices import CPU, Gpu, Gpus
from jupyter_tfserve.worker.frame import FrameError, decode_report
from jupyter_tfserve.worker.fresh import FreshLauncher
from jupyter_tfserve.worker.handover import OwnerSocket
from jupyter_tfserve.worker.lane import Lane
from jupyter_tfserve.worker.launcher import ForkServerLauncher
from jupyter_tfserve.worker.memory import check_fits
from jupyter_tfserve.worker.order import (
    LITE_MODEL,
    MAX_SOCKETS,
    WorkerOrder,
)
from jupyter_tfserve.worker.process import Launcher, WorkerProcess
from jupyter_tfserve.worker.worker import Connections, Worker, ended

MAX_LANES: Final = MAX_SOCKETS - 2
PROBE_TIMEOUT_S: Final = 60.0


class WorkerPool:
    """Starts workers, from one fork server where that is safe; none outlives `close`, or the engine."""

    def __init__(self, options: WorkerOptions, launcher: Launcher | None = None) -> None:
        for name in ("lanes", "num_tflite_pools"):
            if getattr(options, name) > MAX_LANES:
                raise invalid_argument(f"{name} must be at most {MAX_LANES}; was {getattr(options, name)}")
        self._options = options
        self._launcher = launcher or best_launcher()
        self._spawning: set[asyncio.Task[Worker]] = set()
        self._workers: set[Worker] = set()
        self._gpus = Gpus(self._probe_gpus)
        self._occupants: list[Occupant] = []
        self._closed = False

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those that have loaded their models and are alive."""
        return tuple(self._workers)

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """Those that are found by now."""
        return self._gpus.known()

    async def replica_count(self, wanted: int) -> int:
        """How many processes a version gets for what was asked: 0 is one for each GPU."""
        return wanted or max(len(await self._gpus.found()), 1)

    async def start(self) -> None:
        """Starts the fork server; returns before it has imported TensorFlow, or found GPUs."""
        await self._launcher.start()
        self._gpus.start()

    async def spawn(
        self,
        servable: ServableId,
        path: Path,
        session_config: bytes | None = None,
        *,
        is_replacement: bool = False,
    ) -> Worker:
        """A worker that has loaded the SavedModel in `path`; `session_config` counts instead of the options'.

        It gives way to workers that serve while it loads, unless `is_replacement`: requests wait for that one.
        ServingError: the model's own, RESOURCE_EXHAUSTED when it would not fit into memory, DEADLINE_EXCEEDED
        after `load_timeout_s` (`ModelHung`), INTERNAL when its process died (`ModelDied` by its own fault). Whatever
        way it fails, or if it is cancelled, the process is gone, or on its way if the engine had not heard of it yet.
        """
        if self._closed:
            raise _stopping()
        await asyncio.to_thread(check_fits, servable, path, self._options.memory_estimate_factor)
        # TensorFlow's own import, seconds from a cold disk, does not count as the model's time.
        await self._launcher.ready()
        gpu = choose_gpu(await self._gpus.found(), self._occupants, servable)
        session = self._options.session_config if session_config is None else session_config
        order = self._order(path, session, gpu)
        order = replace(order, is_gentle=bool(self._workers) and not is_replacement)
        task = asyncio.get_running_loop().create_task(self._spawn(servable, path, order, gpu))
        if gpu is not None:
            self._occupy(gpu, servable, task)
        self._spawning.add(task)
        task.add_done_callback(self._spawning.discard)
        return await self._spawned_in_time(servable, task)

    async def _spawned_in_time(self, servable: ServableId, task: asyncio.Task[Worker]) -> Worker:
        """What `task` gives; after `load_timeout_s`, or if its caller is cancelled, the task is given up."""
        try:
            done, _ = await asyncio.wait([task], timeout=self._options.load_timeout_s)
        except asyncio.CancelledError:
            await _give_up(task)
            raise
        if not done:
            await _give_up(task)
            limit_s = self._options.load_timeout_s
            raise ModelHung(
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
        await self._gpus.close()
        await self._launcher.close()

    async def _spawn(self, servable: ServableId, path: Path, order: WorkerOrder, gpu: Gpu | None) -> Worker:
        return await self._start(servable, order, self._lane_count(path), CPU if gpu is None else gpu.name)

    def _occupy(self, gpu: Gpu, servable: ServableId, task: asyncio.Task[Worker]) -> None:
        """The GPU counts as used until the worker that `task` gives is gone."""
        occupant = Occupant(servable, gpu.name)
        self._occupants.append(occupant)

        def leave(_: object) -> None:
            self._occupants.remove(occupant)

        def spawned(task: asyncio.Task[Worker]) -> None:
            if task.cancelled() or task.exception() is not None:
                leave(task)
            else:
                task.result().died.add_done_callback(leave)

        task.add_done_callback(spawned)

    async def _probe_gpus(self) -> bytes:
        """TensorFlow's list of GPUs, from a process that ends then; its ServingError."""
        await self._launcher.ready()
        order = WorkerOrder(
            path="", tags=(), intra_op_parallelism=0, inter_op_parallelism=0, probes_gpus=True
        )
        try:
            return await asyncio.wait_for(self._report(order), PROBE_TIMEOUT_S)
        except asyncio.TimeoutError:
            text = f"TensorFlow has not listed the GPUs in {PROBE_TIMEOUT_S:g} s"
            raise ServingError(Code.DEADLINE_EXCEEDED, text) from None

    async def _report(self, order: WorkerOrder) -> bytes:
        """What a process without lanes reports; it is gone then."""
        process, connections, ours = await self._launch(order, 0)
        try:
            return await self._load(process, connections, ours)
        finally:
            await _abandon(process, connections)

    async def _launch(
        self, order: WorkerOrder, lanes: int
    ) -> tuple[WorkerProcess, Connections, list[socket.socket]]:
        ours, theirs = _socket_pairs(2 + lanes)
        try:
            process = await self._launcher.launch(order, theirs)
        except BaseException:
            _close_all(ours)
            raise
        finally:
            _close_all(theirs)
        return process, Connections(ControlConnection(), Lane(), [Lane() for _ in ours[2:]]), ours

    async def _start(self, servable: ServableId, order: WorkerOrder, lanes: int, device: str) -> Worker:
        process, connections, ours = await self._launch(order, lanes)
        try:
            signature_defs = await self._load(process, connections, ours)
        except BaseException:
            await _abandon(process, connections)
            _close_all(ours)
            raise
        worker = Worker(servable, process, connections, signature_defs, self._options.stop_timeout_s, device)
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
            death = await ended(process, control)
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

    def _order(self, path: Path, session_config: bytes, gpu: Gpu | None) -> WorkerOrder:
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
            gpu="" if gpu is None else gpu.visible,
            gpu_memory_limit_mb=self._options.gpu_memory_limit_mb,
        )


def best_launcher(owner: OwnerSocket | None = None) -> Launcher:
    """What starts workers on this system; with an `owner` its fork server may outlive the engine."""
    # Elsewhere a fork of a process that has loaded TensorFlow and the system's frameworks may crash.
    return ForkServerLauncher(owner) if sys.platform.startswith("linux") else FreshLauncher()


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
