"""TensorFlow Serving's rules for a batched request and its answer, with batching_session.cc's texts. Pure.

They hold where batching was asked for by TensorFlow Serving's parameters (`BatchOptions.strict`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import Tensor, Tensors

MAX_PADDED_RANK: Final = 6
WAITED_TOO_LONG: Final = "Run() timeout exceeded while waiting in batching queue"


class BatchFault(ServingError):
    """The batch as such can't be run or split: every caller in it gets this error."""


def checked_rows(inputs: Tensors, max_rows: int) -> int:
    """How many rows a request brings. INVALID_ARGUMENT if it is not batchable or brings more than `max_rows`."""
    if not inputs:
        raise invalid_argument("Batching Run() must have at least one input tensor")
    if any(tensor.ndim == 0 for tensor in inputs.values()):
        raise invalid_argument("Batching Run() input tensors must have at least one dimension")
    rows = {tensor.shape[0] for tensor in inputs.values()}
    if len(rows) > 1:
        raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
    count: int = rows.pop()
    if count > max_rows:
        raise invalid_argument(f"Task size {count} is larger than maximum input batch size {max_rows}")
    return count


def check_outputs(outputs: Tensors, rows: int) -> None:
    """FAILED_PRECONDITION if some output has not one row per executed row."""
    if any(tensor.ndim == 0 for tensor in outputs.values()):
        raise BatchFault(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
    if any(tensor.shape[0] != rows for tensor in outputs.values()):
        raise BatchFault(
            Code.FAILED_PRECONDITION,
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
            "input tensors",
        )


def split_rows(inputs: Tensors, rows: int, size: int, first: int = 0) -> list[Tensors]:
    """A request in pieces of at most `size` rows, as views, in order; before them one of `first`, unless 0."""
    starts = [0, *range(first, rows, size)] if first else [*range(0, rows, size)]
    return [
        {alias: tensor[start:end] for alias, tensor in inputs.items()}
        for start, end in zip(starts, [*starts[1:], rows], strict=True)
    ]


def join_rows(answers: Sequence[Tensors]) -> Tensors:
    """The inverse of `split_rows`, on the answers."""
    return {alias: np.concatenate([answer[alias] for answer in answers]) for alias in answers[0]}


def align(name: str, parts: Sequence[Tensor], pad: bool) -> list[Tensor]:
    """One input of several tasks with equal inner dimensions: padded at their ends, if that is on.

    Each tensor is padded with its own first element. `name` is the tensor's own, for FAILED_PRECONDITION.
    """
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) == 1:
        return list(parts)
    if not pad or len({part.ndim for part in parts}) > 1:
        raise BatchFault(
            Code.FAILED_PRECONDITION,
            f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. "
            "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
            "dimensions starting with the first dim.",
        )
    if parts[0].ndim > MAX_PADDED_RANK:
        raise BatchFault(Code.INVALID_ARGUMENT, "Only tensors with rank from 1 to 6 can be padded.")
    inner = tuple(map(max, zip(*shapes, strict=True)))
    return [_padded(part, (part.shape[0], *inner)) for part in parts]


def _padded(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tensor.shape == shape:
        return tensor
    if not tensor.size:
        raise BatchFault(Code.INVALID_ARGUMENT, "Got empty tensor in batch of non-empty tensors.")
    padded = np.full(shape, tensor.flat[0], tensor.dtype)
    padded[tuple(map(slice, tensor.shape))] = tensor
    return padded
