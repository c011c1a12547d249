"""A scheduler before a lane whose batches tests end, and requests to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.batching.task import is_batchable
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Signature, Tensors, TensorSpec

ROWS = Signature("", {"x": TensorSpec("x:0", "float", (-1,))}, {"y": TensorSpec("y:0", "float", (-1,))})
FIXED = Signature("", {"x": TensorSpec("x:0", "float", (3,))}, {"y": TensorSpec("y:0", "float", (3,))})


def echo(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"] * 10}


class HeldLane:
    """Runs `model` on each batch, but only when the test lets it."""

    busy_share = 0.0

    def __init__(self, model: Callable[[Tensors], Tensors] = echo, held: bool = True) -> None:
        self.model = model
        self.batches: list[list[float]] = []
        self.timeouts: list[float | None] = []
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()

    async def run_batch(
        self, signature: str, inputs: Tensors, outputs: tuple[str, ...], timeout_s: float | None
    ) -> Tensors:
        self.batches.append(list(inputs["x"].ravel()))
        self.timeouts.append(timeout_s)
        await asyncio.sleep(0)  # as no lane answers within the call
        await self.gate.wait()
        return self.model(inputs)


def ask(
    scheduler: BatchScheduler, *values: float, timeout_s: float | None = None, signature: Signature = ROWS
):
    rows = np.array(values, np.float32)
    batchable = is_batchable(signature)
    return asyncio.ensure_future(
        scheduler.submit("serving_default", {"x": rows}, ("y",), timeout_s, batchable)
    )


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def plain(**changes: object) -> BatchScheduler:
    return BatchScheduler(BatchOptions(**{"verify": False, **changes}))  # type: ignore[arg-type]
