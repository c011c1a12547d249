"""Tensors of several callers into one batch, and the answer back into each caller's rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.types import Tensor, Tensors

Align: TypeAlias = Callable[[str, list[Tensor]], list[Tensor]]
"""Makes the inner dimensions of one input equal: (alias, one tensor per task) -> the same, padded."""


def merge(tasks: Sequence[BatchTask], padded_rows: int = 0, align: Align | None = None) -> Tensors:
    """The batch's inputs: every task's rows one after another, then copies of the last task's first row
    up to `padded_rows`. A single task without padding is passed on as it is, without a copy.

    Without `align` the tasks' inner dimensions must agree; the error of `align` is the caller's.
    """
    if len(tasks) == 1 and padded_rows <= tasks[0].rows:
        return tasks[0].inputs
    missing = padded_rows - sum(task.rows for task in tasks)
    merged: dict[str, Tensor] = {}
    for alias in tasks[0].inputs:
        parts = [task.inputs[alias] for task in tasks]
        if align is not None:
            parts = align(alias, parts)
        if missing > 0:
            parts.append(np.repeat(parts[-1][:1], missing, axis=0))
        merged[alias] = np.concatenate(parts)
    return merged


def split(outputs: Tensors, tasks: Sequence[BatchTask], executed_rows: int) -> list[Tensors] | None:
    """Each task's rows of the outputs as views, or None if some output has not one row per executed row.

    Rows beyond the tasks' own are padding and are dropped.
    """
    if any(tensor.ndim == 0 or tensor.shape[0] != executed_rows for tensor in outputs.values()):
        return None
    answers: list[Tensors] = []
    start = 0
    for task in tasks:
        end = start + task.rows
        answers.append({alias: tensor[start:end] for alias, tensor in outputs.items()})
        start = end
    return answers


def padded_size(rows: int, allowed: Sequence[int]) -> int:
    """The smallest allowed batch size that holds the rows; the rows themselves if none does."""
    return min((size for size in allowed if size >= rows), default=rows)


def agree(left: Tensors, right: Tensors) -> bool:
    """Whether two answers are the same up to what another batch size changes in floating point."""
    return left.keys() == right.keys() and all(_agree(left[alias], right[alias]) for alias in left)


def _agree(left: Tensor, right: Tensor) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype == object or left.dtype.kind in "biu":
        return bool(np.array_equal(left, right))
    wide = np.complex128 if left.dtype.kind == "c" else np.float64
    rtol = 1e-3 if left.dtype.itemsize >= 4 else 3e-2
    return bool(np.allclose(left.astype(wide), right.astype(wide), rtol=rtol, atol=rtol / 10, equal_nan=True))
