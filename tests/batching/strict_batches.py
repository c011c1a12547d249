"""A scheduler by TensorFlow Serving's rules before a lane that answers ten times its input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors

SHAPES_DIFFER = (
    "Tensors with name 'graph/x' from different tasks have different shapes and padding is turned off. Set "
    "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
    "starting with the first dim."
)
FULL = "The batch scheduling queue to which this task was submitted is full; "


class TenfoldLane:
    """Runs `model` (by default all inputs times ten) on each batch once `gate` is open."""

    busy_share = 0.0

    def __init__(self, model: Callable[[Tensors], Tensors] | None = None, held: bool = False) -> None:
        self.model = model or (lambda inputs: {f"10{alias}": t * 10 for alias, t in inputs.items()})
        self.batches: list[Any] = []
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()

    async def run_batch(
        self, signature: str, inputs: Tensors, outputs: tuple[str, ...], timeout_s: float | None
    ) -> Tensors:
        self.batches.append(inputs["x"].tolist())
        self.asked.append((signature, outputs))
        await self.gate.wait()
        return self.model(inputs)


def strict(lane: TenfoldLane, clock: Callable[[], float] | None = None, **options: Any) -> BatchScheduler:
    scheduler = BatchScheduler(
        BatchOptions(verify=False, strict=True, **options),
        *([clock] if clock else []),
        tensor_name=lambda _signature, alias: f"graph/{alias}",
    )
    scheduler.add_lane(lane)
    return scheduler


def ask(scheduler: BatchScheduler, *rows: Any, **keywords: Any) -> asyncio.Future[Tensors]:
    inputs = {"x": np.array(rows, np.float32)}
    return asyncio.ensure_future(scheduler.submit("default", inputs, ("10x",), **keywords))


async def refusal(request: Any) -> tuple[Code, str]:
    with pytest.raises(ServingError) as caught:
        await request
    return caught.value.code, caught.value.message


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def all_ways_of_refusing(*requests: Any) -> set[tuple[Code, str]]:
    errors = await asyncio.gather(*requests, return_exceptions=True)
    return {(error.code, error.message) for error in errors if isinstance(error, ServingError)}
