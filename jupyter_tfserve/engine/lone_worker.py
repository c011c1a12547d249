"""One worker of a version with a line of its own, before it takes requests: for its warm-up.

What is measured here, the first runs of a graph, is not what the version's batches are planned by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.engine.replicas import WorkerLane
from jupyter_tfserve.engine.warmup import WarmServable
from jupyter_tfserve.errors import Code, ModelDied, ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Signature, Tensors
from jupyter_tfserve.worker.worker import Worker

T = TypeVar("T")


class LoneWorker:
    """A version as its warm-up sees it: `signatures`, those whose requests may share a batch, and one worker."""

    def __init__(
        self,
        worker: Worker,
        options: BatchOptions,
        signatures: Mapping[str, Signature],
        batchable: Collection[str],
    ) -> None:
        self.signatures = signatures
        self._worker = worker
        self._batchable = batchable
        self._scheduler = BatchScheduler(options)
        for lane in worker.lanes:
            self._scheduler.add_lane(WorkerLane(lane))

    async def play(self, play: Callable[[WarmServable], Awaitable[T]]) -> T:
        """What `play` gives for this worker; UNAVAILABLE, or `ModelDied`, when its process dies meanwhile."""
        task = asyncio.ensure_future(play(self))
        ends: list[asyncio.Future[Any]] = [task, self._worker.died]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            kind = ModelDied if self._worker.is_own_fault else ServingError
            raise kind(Code.UNAVAILABLE, f"{self._worker.died.result()} while it was warmed up")
        finally:
            task.cancel()
            self._scheduler.close(ServingError(Code.UNAVAILABLE, "The warm-up is over"))

    async def run(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        watch: Stopwatch | None = None,
    ) -> Tensors:
        """See `WarmServable`."""
        is_batchable = key in self._batchable
        return await self._scheduler.submit(key, inputs, outputs, timeout_s, is_batchable, watch)
