"""Which batches a compiled model is shown before it serves, and that it never fails for it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from jupyter_tfserve.engine.warm_sizes import padded_sizes, warm_sizes
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Signature, Tensors, TensorSpec

X = TensorSpec("x:0", "float", (-1, 3))
ID = TensorSpec("id:0", "int64", (-1,))


class Servable:
    """Keeps what it was asked; fails from a number of rows on."""

    def __init__(self, fails_from: int = 10**9, **inputs: TensorSpec) -> None:
        self.signatures = {"s": Signature("", inputs, {"y": X})}
        self.asked: list[Tensors] = []
        self._fails_from = fails_from

    async def run(self, key, inputs, outputs, timeout_s, watch=None) -> Tensors:
        self.asked.append(inputs)
        if len(next(iter(inputs.values()))) >= self._fails_from:
            raise ServingError(Code.INTERNAL, "no zeros, please")
        return {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (BatchOptions(), (1, 2, 4, 8, 16, 32, 64)),
        (BatchOptions(max_batch_size=20), (1, 2, 4, 8, 16)),
        (BatchOptions(max_batch_size=1), (1,)),
        (BatchOptions(max_batch_size=12, allowed_batch_sizes=(3, 12)), (3, 12)),
    ],
)
def test_sizes_are_those_that_batches_are_padded_to(options, expected):
    assert padded_sizes(options) == expected


async def test_every_size_is_run_once_with_every_input_when_shapes_are_known():
    servable = Servable(x=X, id=ID)
    assert await warm_sizes(servable, {"s"}, BatchOptions(max_batch_size=4)) == 3
    assert [(one["x"].shape, one["id"].shape) for one in servable.asked] == [
        ((rows, 3), (rows,)) for rows in (1, 2, 4)
    ]
    assert (servable.asked[0]["x"].dtype, servable.asked[0]["id"].dtype) == (np.float32, np.int64)


@pytest.mark.parametrize(
    "spec",
    [
        TensorSpec("x:0", "string", (-1,)),
        TensorSpec("x:0", "float", (-1, -1)),
        TensorSpec("x:0", "float", None),
    ],
)
async def test_nothing_is_run_when_a_row_cannot_be_made_up(spec):
    servable = Servable(x=X, other=spec)
    assert await warm_sizes(servable, {"s"}, BatchOptions()) == 0
    assert servable.asked == []


async def test_sizes_end_where_memory_time_or_the_model_says_so():
    row_bytes = 3 * 4
    small = Servable(x=X)
    assert await warm_sizes(small, {"s"}, BatchOptions(max_batch_bytes=5 * row_bytes)) == 3
    assert await warm_sizes(Servable(x=X), {"s"}, BatchOptions(), budget_s=0) == 0
    assert await warm_sizes(Servable(fails_from=4, x=X), {"s"}, BatchOptions()) == 2
    assert await asyncio.wait_for(warm_sizes(Servable(x=X), set(), BatchOptions()), 5) == 0
