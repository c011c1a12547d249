"""Runs a compiled model once at each batch size that it will be given, before it serves.

XLA compiles a program for each shape, and a GPU's libraries try out kernels for it: batches are padded to few sizes
there, and a size that a caller met first would cost that caller seconds. The rows are zeros, which the file of recorded
requests cannot have in every size; a model that does not like them is served all the same.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterator
from typing import Final

import numpy as np

from jupyter_tfserve.batching.planner import START_ROWS
from jupyter_tfserve.codec.dtypes import STRING, numpy_dtype
from jupyter_tfserve.engine.warmup import WarmServable
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Signature, Tensors

logger = logging.getLogger(__name__)

BUDGET_S: Final = 120.0
"""What all sizes may take in all; those that are left are compiled when they are met."""


async def warm_sizes(
    servable: WarmServable, batchable: Collection[str], options: BatchOptions, budget_s: float = BUDGET_S
) -> int:
    """How many batches of how many sizes were run. Never fails by the model's own error."""
    ends = time.monotonic() + budget_s
    return sum([await _warm(servable, key, options, ends) for key in sorted(batchable)])


async def _warm(servable: WarmServable, key: str, options: BatchOptions, ends: float) -> int:
    count = 0
    try:
        for inputs in zeros(servable.signatures[key], options):
            left_s = ends - time.monotonic()
            if left_s <= 0:
                break
            await servable.run(key, inputs, (), left_s)
            count += 1
    except ServingError as error:
        logger.info("Signature %s is not run ahead: %s", key, error.message)
    return count


def zeros(signature: Signature, options: BatchOptions) -> Iterator[Tensors]:
    """A batch of each size that is padded to; none where an input is text or has an unknown inner dimension."""
    specs = {
        alias: (numpy_dtype(spec.dtype), spec.shape[1:])
        for alias, spec in signature.inputs.items()
        if spec.shape and spec.dtype != STRING.name and min(spec.shape[1:], default=0) >= 0
    }
    if len(specs) < len(signature.inputs):
        return
    row_bytes = sum(dtype.itemsize * math.prod(shape) for dtype, shape in specs.values())
    for rows in padded_sizes(options):
        if rows * row_bytes > options.max_batch_bytes:
            return
        yield {alias: np.zeros((rows, *shape), dtype) for alias, (dtype, shape) in specs.items()}


def padded_sizes(options: BatchOptions) -> tuple[int, ...]:
    """The sizes that batches are padded to before anything was learned."""
    if options.allowed_batch_sizes:
        return options.allowed_batch_sizes
    largest = min(START_ROWS, options.max_batch_size)
    return tuple(1 << power for power in range(largest.bit_length()))
