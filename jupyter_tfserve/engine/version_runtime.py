"""A loaded version: its worker processes and the batch scheduler above them.

The lifecycle's loader (load, unload) and the data plane's servable (signatures, run) in one object, since both
live exactly as long as the version does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import psutil

from jupyter_tfserve.batching.batch_statistics import BatchStatistics
from jupyter_tfserve.batching.overlap import Turns
from jupyter_tfserve.batching.planner import LearnedBatching
from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.batching.task import Waiter, is_batchable
from jupyter_tfserve.codec.contradiction import refusal
from jupyter_tfserve.codec.signatures import parse_signatures
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.dataplane.traffic import Traffic
from jupyter_tfserve.engine.live_batching import LiveBatching
from jupyter_tfserve.engine.live_replicas import LiveReplicas
from jupyter_tfserve.engine.lone_worker import LoneWorker
from jupyter_tfserve.engine.overruns import overruns_told
from jupyter_tfserve.engine.replicas import ReplicaSet
from jupyter_tfserve.engine.version_options import batch_options, session_config
from jupyter_tfserve.engine.warm_sizes import warm_sizes
from jupyter_tfserve.engine.warmup import Replay, WarmServable, warm_up
from jupyter_tfserve.errors import Code, ModelDied, ModelHung, ServingError
from jupyter_tfserve.lifecycle.batching_settings import ModelBatching
from jupyter_tfserve.lifecycle.history import EventKind
from jupyter_tfserve.lifecycle.quarantine import Deaths
from jupyter_tfserve.lifecycle.roots import check_version
from jupyter_tfserve.options import BatchOptions, EngineOptions
from jupyter_tfserve.types import ServableId, Signature, Tensors
from jupyter_tfserve.worker.devices import CPU
from jupyter_tfserve.worker.pool import WorkerPool
from jupyter_tfserve.worker.worker import Worker

logger = logging.getLogger(__name__)

DEATHS_WINDOW_S = 60.0
HANGS_WINDOW_S = 3600.0
"""Each costs its callers' whole time limit, a load even `load_timeout_s`."""

HUNG = "worker process was ended: its runs came to no end, and their callers had gone"

Record: TypeAlias = Callable[[EventKind, ServableId, str], None]
"""Notes what happened to a version, and its details."""
GiveUp: TypeAlias = Callable[[ServableId, ServingError], None]
"""Ends a version whose model takes its processes with it."""


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """What a person may change while the version is loaded."""

    batching: LiveBatching
    replicas: LiveReplicas


class VersionRuntime:
    """One version of one model, served by one process or several, each of which is replaced when it dies."""

    def __init__(
        self,
        servable: ServableId,
        path: Path,
        pool: WorkerPool,
        options: EngineOptions,
        record: Record,
        metrics: Metrics | None = None,
        live: LiveSettings | None = None,
        give_up: GiveUp | None = None,
    ) -> None:
        self._id = servable
        self._path = path
        self._pool = pool
        self._options = options
        self._record = record
        self._metrics = metrics or Metrics()
        self._own_batching = self._batching = options.batching
        self._live = live or LiveSettings(LiveBatching(), LiveReplicas(options.worker.replicas))
        self._give_up = give_up
        self._deaths = Deaths(options.worker.max_worker_deaths, DEATHS_WINDOW_S)
        self._hangs = Deaths(options.worker.max_worker_deaths, HANGS_WINDOW_S, "hangs")
        self._scheduler = BatchScheduler(options.batching, observer=self._metrics.batching)
        self.restarts = 0
        self.traffic = Traffic(time.monotonic())
        self.available_since: float | None = None
        self._replicas = ReplicaSet(self._scheduler, self)
        self.signatures: Mapping[str, Signature] = {}
        self._batchable: set[str] = set()
        self._checks_shapes = False
        self.signature_defs = b""

    @property
    def path(self) -> Path:
        """The version's folder."""
        return self._path

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The processes that serve it and are alive."""
        return self._replicas.workers

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
        self._set_scheduler(batching)
        wanted = await self._pool.replica_count(self._live.replicas.of(self._id.name))
        worker, *others = await self._replicas.start(wanted)
        try:
            self._understand(worker, batching)
            await self._warm_sizes(worker)
            self._replicas.join(worker)
            await self._warm_up()
            await asyncio.gather(*(self.prepare(other) for other in others))
        except BaseException:  # also a load that is cancelled
            await asyncio.gather(*(each.stop() for each in (worker, *others)))
            await self.unload()
            raise
        for other in others:
            self._replicas.join(other)
        self._live.replicas.follow(self)
        self.traffic = Traffic(time.monotonic())
        self.available_since = time.time()

    def set_replicas(self, wanted: int) -> None:
        """So many processes as soon as that can be; 0: one for each GPU."""
        self._replicas.resize(wanted or max(len(self._pool.gpus), 1))

    async def _check_roots(self) -> None:
        """Opened long ago, maybe: what the path means now is what counts."""
        roots = self._options.lifecycle.allowed_roots
        if roots:
            await asyncio.to_thread(check_version, self._path, roots)

    async def spawn(self, is_replacement: bool = False) -> Worker:
        """See `ReplicaHost`."""
        await self._check_roots()
        config = await asyncio.to_thread(session_config, self._path, self._options.worker.session_config)
        return await self._pool.spawn(self._id, self._path, config, is_replacement=is_replacement)

    async def prepare(self, worker: Worker) -> None:
        """See `ReplicaHost`: its own warm-up, beside those who are served."""
        await self._warm_sizes(worker)
        await self._lone(worker).play(self._replay)

    def _lone(self, worker: Worker) -> LoneWorker:
        return LoneWorker(worker, self._batching, self.signatures, self._batchable)

    async def _warm_sizes(self, worker: Worker) -> None:
        """Lets a compiler or a GPU see the sizes of batches that it will be given."""
        options = self._batching
        is_padded = options.pad_to_powers_of_two and (options.allowed_batch_sizes or not options.strict)
        if not is_padded or not self._options.warmup.enable_model_warmup:
            return
        began = time.monotonic()
        lone = self._lone(worker)
        count = await lone.play(lambda servable: warm_sizes(servable, self._batchable, options))
        if count:
            took = f"{count} batch sizes run ahead in {time.monotonic() - began:.2f} s"
            self._record(EventKind.WARMUP, self._id, took)

    def crashed(self, reason: str) -> None:
        """See `ReplicaHost`."""
        logger.warning("The worker of %s is restarted: %s", self._id, reason)
        self._record(EventKind.CRASH, self._id, reason)
        self.restarts += 1

    def spawn_failed(self, error: ServingError) -> None:
        """See `ReplicaHost`."""
        logger.warning("Starting another worker of %s failed: %s", self._id, error)

    def is_given_up(self, error: ModelDied) -> bool:
        """See `ReplicaHost`: counts a death by the model's own fault; if it was one too many, the version ends."""
        counted = self._hangs if isinstance(error, ModelHung) else self._deaths
        if self._give_up is None or not counted.are_too_many(time.monotonic()):
            return False
        refused = ServingError(Code.UNAVAILABLE, counted.reason(error.message))
        # Those who wait for a lane would hold the version until their own time is over.
        self._scheduler.close(refused)
        self._give_up(self._id, refused)
        return True

    def _set_scheduler(self, batching: BatchOptions) -> None:
        self._scheduler = BatchScheduler(
            batching,
            observer=self._metrics.batching,
            tensor_name=self._tensor_name,
            on_stuck=self._end_stuck_workers,
            cpu_s=self._cpu_s,
            refusal=self._refusal,
            on_overrun=self._overran,
        )
        self._replicas = ReplicaSet(self._scheduler, self)

    def _understand(self, worker: Worker, batching: BatchOptions) -> None:
        """Takes up what the worker's model says of itself, and the settings that hold for it."""
        self.signature_defs = worker.signature_defs
        self.signatures = parse_signatures(worker.signature_defs)
        is_compiled = worker.device != CPU or self._options.worker.uses_xla
        self._own_batching = replace(batching, pad_to_powers_of_two=is_compiled)
        self._live.batching.follow(self)
        keys = self.signatures if batching.enabled else ()
        self._batchable = {key for key in keys if is_batchable(self.signatures[key])}

    async def unload(self) -> None:
        """Ends the workers; their memory is the system's again when this returns. REQUIRES: no request in flight."""
        self._scheduler.close(ServingError(Code.UNAVAILABLE, f"Servable {self._id} is unloaded"))
        await self._replicas.close()

    async def run(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        watch: Stopwatch | None = None,
    ) -> Tensors:
        """The outputs by alias; errors as `BatchScheduler.begin` has them, or tells them."""
        future: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()
        self.begin(key, inputs, outputs, timeout_s, future, watch)
        return await future

    def begin(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        waiter: Waiter,
        watch: Stopwatch | None = None,
    ) -> None:
        """See `Servable`; errors as `BatchScheduler.begin` has them."""
        if self._checks_shapes and (refused := self._refusal(key, inputs)) is not None:
            raise refused
        self._scheduler.begin(key, inputs, outputs, timeout_s, key in self._batchable, waiter, watch)

    def _refusal(self, key: str, inputs: Tensors) -> ServingError | None:
        """Asked when a request has ended a worker. If its shapes are why, no other of the kind ends the next one."""
        signature = self.signatures.get(key)
        refused = None if signature is None else refusal(inputs, signature)
        self._checks_shapes = self._checks_shapes or refused is not None
        return refused

    def _overran(self) -> None:
        counts = self._scheduler.statistics()
        if (told := overruns_told(counts.overruns, counts.batches)) is not None:
            logger.warning("%s: %s", self._id, told)
            self._record(EventKind.ERROR, self._id, told)

    def _cpu_s(self) -> float:
        """The processor time that the workers have used; 0 while there is none, or no file may be opened to read it."""
        try:
            times = [psutil.Process(worker.pid).cpu_times() for worker in self.workers]
        except (psutil.Error, OSError):
            return 0.0
        return float(sum(each.user + each.system for each in times))

    def _tensor_name(self, key: str, alias: str) -> str:
        return self.signatures[key].inputs[alias].tensor_name

    async def _warm_up(self) -> None:
        if not self._options.warmup.enable_model_warmup:
            return
        began = time.monotonic()
        try:
            count = await self._replay(self)
        except ServingError as error:
            self._metrics.warmed_up(str(self._path), error, time.monotonic() - began, 0)
            if error.code is Code.DEADLINE_EXCEEDED:
                raise ModelHung(error.code, f"The warm-up came to no end: {error.message}") from None
            raise
        if count:
            took_s = time.monotonic() - began
            self._metrics.warmed_up(str(self._path), None, took_s, count)
            self._record(EventKind.WARMUP, self._id, f"{count} requests replayed in {took_s:.2f} s")

    async def _replay(self, servable: WarmServable) -> int:
        """How many recorded requests were replayed."""
        options = self._options.warmup
        if not options.enable_model_warmup:
            return 0
        replay = Replay(
            self._options.limits,
            options.num_request_iterations_for_warmup,
            self._options.worker.load_timeout_s,
            self._options.grpc.enable_signature_method_name_check,
        )
        return await warm_up(self._path, servable, replay)

    def _end_stuck_workers(self) -> None:
        """Callers gave up on what every lane still computes, and others wait: new workers serve them sooner.

        That is one hang, however many workers there are; if it was one too many, the version ends.
        """
        self.is_given_up(ModelHung(Code.UNAVAILABLE, HUNG))
        for worker in self._replicas.workers:
            worker.kill(HUNG)
