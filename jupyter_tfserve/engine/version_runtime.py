"""A loaded version: its worker process, its batch scheduler, and the restart of the one under the other.

The lifecycle's loader (load, unload) and the data plane's servable (signatures, run) in one object, since both
live exactly as long as the version does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import psutil

from jupyter_tfserve.batching.overlap import Turns
from jupyter_tfserve.batching.planner import LearnedBatching
from jupyter_tfserve.batching.scheduler import BatchScheduler, BatchStatistics, LaneGone
from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.batching.task import is_batchable
from jupyter_tfserve.codec.signatures import parse_signatures
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.dataplane.traffic import Traffic
from jupyter_tfserve.engine.live_batching import LiveBatching
from jupyter_tfserve.engine.version_options import batch_options, session_config
from jupyter_tfserve.engine.warmup import Replay, warm_up
from jupyter_tfserve.errors import Code, ModelDied, ServingError
from jupyter_tfserve.lifecycle.batching_settings import ModelBatching
from jupyter_tfserve.lifecycle.history import EventKind
from jupyter_tfserve.lifecycle.quarantine import Deaths
from jupyter_tfserve.lifecycle.roots import check_version
from jupyter_tfserve.options import BatchOptions, EngineOptions
from jupyter_tfserve.types import ServableId, Signature, Tensors
from jupyter_tfserve.worker.lane import Call, Lane, LaneLost
from jupyter_tfserve.worker.pool import Worker, WorkerPool

logger = logging.getLogger(__name__)

RESTART_BACKOFF_S = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_AFTER_S = 60.0
"""A worker that lived so long is restarted without back-off again."""
DEATHS_WINDOW_S = 60.0

Record: TypeAlias = Callable[[EventKind, ServableId, str], None]
"""Notes what happened to a version, and its details."""
GiveUp: TypeAlias = Callable[[ServableId, ServingError], None]
"""Ends a version whose model takes its processes with it."""


class WorkerLane:
    """A worker's lane as the scheduler wants it. `on_lost` is called before the batch is given back."""

    def __init__(self, lane: Lane, on_lost: Callable[[], None]) -> None:
        self._lane = lane
        self._on_lost = on_lost
        self.compute_s = 0.0

    async def run_batch(
        self, signature: str, inputs: Tensors, outputs: tuple[str, ...], timeout_s: float | None
    ) -> Tensors:
        """See `BatchLane`."""
        try:
            result = await self._lane.run(Call(signature, inputs, outputs, timeout_s))
        except LaneLost as lost:
            self._on_lost()
            raise LaneGone(lost.message) from None
        self.compute_s = result.compute_s
        return result.outputs


class VersionRuntime:
    """One version of one model, served by one process that is replaced when it dies."""

    def __init__(
        self,
        servable: ServableId,
        path: Path,
        pool: WorkerPool,
        options: EngineOptions,
        record: Record,
        metrics: Metrics | None = None,
        live: LiveBatching | None = None,
        give_up: GiveUp | None = None,
    ) -> None:
        self._id = servable
        self._path = path
        self._pool = pool
        self._options = options
        self._record = record
        self._metrics = metrics or Metrics()
        self._own_batching = self._batching = options.batching
        self._live = live or LiveBatching()
        self._give_up = give_up
        self._deaths = Deaths(options.worker.max_worker_deaths, DEATHS_WINDOW_S)
        self._scheduler = BatchScheduler(options.batching, observer=self._metrics.batching)
        self.restarts = 0
        self.traffic = Traffic(time.monotonic())
        self.available_since: float | None = None
        self._worker: Worker | None = None
        self._lanes: list[WorkerLane] = []
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeper: asyncio.Task[None] | None = None
        self.signatures: Mapping[str, Signature] = {}
        self._batchable: set[str] = set()
        self.signature_defs = b""

    @property
    def path(self) -> Path:
        """The version's folder."""
        return self._path

    @property
    def pid(self) -> int | None:
        """The worker's process, if one is alive."""
        return None if self._worker is None else self._worker.pid

    @property
    def id(self) -> ServableId:
        """Which version."""
        return self._id

    @property
    def batching(self) -> BatchOptions:
        """How requests are batched now; single signatures may have other settings."""
        return self._batching

    @property
    def turns(self) -> Turns:
        """How the lanes take turns now."""
        return self._scheduler.turns

    def learned_batching(self) -> Mapping[str, LearnedBatching]:
        """What is known of each signature's batches."""
        return self._scheduler.learned()

    def set_batching(self, batching: ModelBatching) -> None:
        """Batches by these settings from now on, requests that wait included."""
        options, by_signature = batching.applied(self._own_batching)
        self._batching = options
        self._scheduler.configure(options, by_signature)

    def statistics(self) -> BatchStatistics:
        """The scheduler's snapshot."""
        return self._scheduler.statistics()

    async def load(self) -> None:
        """Starts the worker, loads the model and warms it up; returns when it can predict.

        The model's error otherwise, or the first that its warm-up met; nothing is left of it then.
        """
        await self._check_roots()
        batching = await asyncio.to_thread(batch_options, self._path, self._options)
        self._worker = worker = await self._spawn()
        try:
            self._serve(worker, batching)
            await self._warm_up()
            self.traffic = Traffic(time.monotonic())
            self.available_since = time.time()
        except BaseException:  # also a load that is cancelled
            await self.unload()
            raise

    async def _check_roots(self) -> None:
        """Opened long ago, maybe: what the path means now is what counts."""
        roots = self._options.lifecycle.allowed_roots
        if roots:
            await asyncio.to_thread(check_version, self._path, roots)

    async def _spawn(self) -> Worker:
        config = await asyncio.to_thread(session_config, self._path, self._options.worker.session_config)
        return await self._pool.spawn(self._id, self._path, config)

    def _serve(self, worker: Worker, batching: BatchOptions) -> None:
        self.signature_defs = worker.signature_defs
        self.signatures = parse_signatures(worker.signature_defs)
        self._scheduler = BatchScheduler(
            batching,
            observer=self._metrics.batching,
            tensor_name=self._tensor_name,
            on_stuck=self._end_stuck_worker,
            cpu_s=self._cpu_s,
        )
        self._own_batching = batching
        self._live.follow(self)
        keys = self.signatures if batching.enabled else ()
        self._batchable = {key for key in keys if is_batchable(self.signatures[key])}
        self._adopt(worker)
        self._keeper = asyncio.get_running_loop().create_task(self._keep_alive(worker))

    async def unload(self) -> None:
        """Ends the worker; its memory is the system's again when this returns. REQUIRES: no request in flight."""
        self._scheduler.close(ServingError(Code.UNAVAILABLE, f"Servable {self._id} is unloaded"))
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop()

    async def run(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        watch: Stopwatch | None = None,
    ) -> Tensors:
        """The outputs by alias; errors as `BatchScheduler.submit` has them."""
        return await self._scheduler.submit(key, inputs, outputs, timeout_s, key in self._batchable, watch)

    def _cpu_s(self) -> float:
        """The processor time that the worker has used; 0 while there is none."""
        try:
            times = psutil.Process(self.pid).cpu_times() if self.pid else None
        except psutil.Error:
            return 0.0
        return 0.0 if times is None else float(times.user + times.system)

    def _tensor_name(self, key: str, alias: str) -> str:
        return self.signatures[key].inputs[alias].tensor_name

    async def _warm_up(self) -> None:
        options = self._options.warmup
        if not options.enable_model_warmup:
            return
        replay = Replay(
            self._options.limits,
            options.num_request_iterations_for_warmup,
            self._options.worker.load_timeout_s,
            self._options.grpc.enable_signature_method_name_check,
        )
        began = time.monotonic()
        try:
            count = await warm_up(self._path, self, replay)
        except ServingError as error:
            self._metrics.warmed_up(str(self._path), error, time.monotonic() - began, 0)
            raise
        if count:
            took_s = time.monotonic() - began
            self._metrics.warmed_up(str(self._path), None, took_s, count)
            self._record(EventKind.WARMUP, self._id, f"{count} requests replayed in {took_s:.2f} s")

    def _adopt(self, worker: Worker) -> None:
        self._worker = worker
        self._lost = asyncio.get_running_loop().create_future()
        self._lanes = [WorkerLane(lane, self._drop_lanes) for lane in worker.lanes]
        for lane in self._lanes:
            self._scheduler.add_lane(lane)

    async def _keep_alive(self, worker: Worker) -> None:
        """Replaces the worker whenever it dies, until cancelled by `unload`."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            reason = await self._end_of(worker, self._lost)
            logger.warning("The worker of %s is restarted: %s", self._id, reason)
            self._record(EventKind.CRASH, self._id, reason)
            self.restarts += 1
            if worker.is_own_fault and self._is_given_up(reason):
                return
            failures = 0 if loop.time() - started > STEADY_AFTER_S else failures
            next_worker = await self._respawn(failures)
            if next_worker is None:
                return
            worker = next_worker
            failures += 1
            self._adopt(worker)

    def _is_given_up(self, reason: str) -> bool:
        """Counts a death by the model's own fault; whether that was one too many, and the version ends."""
        if self._give_up is None or not self._deaths.are_too_many(time.monotonic()):
            return False
        error = ServingError(Code.UNAVAILABLE, self._deaths.reason(reason))
        # Those who wait for a lane would hold the version until their own time is over.
        self._scheduler.close(error)
        self._give_up(self._id, error)
        return True

    async def _end_of(self, worker: Worker, lost: asyncio.Future[None]) -> str:
        """Why the worker ended, when it is gone. A lane that was lost because it spoke nonsense ends it too."""
        ends: list[asyncio.Future[Any]] = [worker.died, lost]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self._drop_lanes()
        await worker.stop()
        self._worker = None
        return await worker.died

    async def _respawn(self, failures: int) -> Worker | None:
        """The next worker; None if the version was given up."""
        while True:
            await asyncio.sleep(RESTART_BACKOFF_S[min(failures, len(RESTART_BACKOFF_S) - 1)])
            failures += 1
            try:
                await self._check_roots()
                return await self._spawn()
            except ServingError as error:
                logger.warning("Restarting the worker of %s failed: %s", self._id, error)
                if isinstance(error, ModelDied) and self._is_given_up(error.message):
                    return None

    def _end_stuck_worker(self) -> None:
        """Callers gave up on what every lane still computes, and others wait: a new worker serves them sooner."""
        if self._worker is not None:
            logger.warning("The worker of %s computes only for callers that have gone; it is ended", self._id)
            self._worker.kill()

    def _drop_lanes(self) -> None:
        """One lost lane is a lost worker: a batch that is given back must not go to its other lanes."""
        if not self._lost.done():
            self._lost.set_result(None)
        for lane in self._lanes:
            self._scheduler.remove_lane(lane)
        self._lanes = []
