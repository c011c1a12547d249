"""One request's rows while they wait and run: the unit that the queue orders and the scheduler answers."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.types import Signature, Tensors


class Waiter(Protocol):
    """Who waits for a task's outputs: a future, or whoever needs none. Told once, unless `done`.

    Outputs are told while a batch is answered, so `set_result` raises nothing, and it may ask the scheduler for more; an
    error is found in the middle of the queue, so `set_exception` leaves all that to a later turn of the loop.
    """

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, outputs: Tensors, /) -> None:
        """The outputs are there."""

    def set_exception(self, error: ServingError, /) -> None:
        """There will be none."""


@dataclass(slots=True, eq=False)
class BatchTask:
    """Rows of one caller, who is told by `future`.

    `rows` is 0 for a task that can't share a batch. `enqueued` and `deadline` are on the
    scheduler's clock.
    """

    signature: str
    inputs: Tensors
    outputs: tuple[str, ...]
    rows: int
    size_bytes: int
    enqueued: float
    deadline: float | None
    future: Waiter
    alone: bool = False
    """Run without batch mates: the task can't be merged, or its batch failed or lost its worker."""
    caller: Hashable = None
    """Whose task it is, where callers take turns."""
    was_lost: bool = False
    """A worker died while it ran this task; it gets one more try."""
    watch: Stopwatch | None = None
    """Its caller wants to know where the time goes."""

    @property
    def mates(self) -> Hashable:
        """What must agree for two tasks to share a batch: signature, outputs, dtypes and inner shapes."""
        if len(self.inputs) == 1:
            ((alias, tensor),) = self.inputs.items()
            return (self.signature, self.outputs, alias, tensor.dtype.num, tensor.shape[1:])
        inner = tuple((alias, tensor.dtype.num, tensor.shape[1:]) for alias, tensor in self.inputs.items())
        return (self.signature, self.outputs, inner)

    @property
    def queue(self) -> Hashable:
        """What must agree in strict batching, where shapes are a batch's own affair: signature and outputs."""
        return (self.signature, self.outputs)


def is_batchable(signature: Signature) -> bool:
    """Whether every input and output may vary in its first dimension. Where the signature declares no rank,
    the request's own tensors decide.
    """
    specs = (*signature.inputs.values(), *signature.outputs.values())
    return bool(signature.inputs) and all(spec.shape is None or spec.shape[:1] == (-1,) for spec in specs)


def batch_rows(inputs: Tensors) -> int:
    """How many rows the request brings: the first dimension that all its tensors share, or 0."""
    rows = -1
    for tensor in inputs.values():
        if tensor.ndim == 0 or (rows >= 0 and tensor.shape[0] != rows):
            return 0
        rows = tensor.shape[0]
    return max(rows, 0)


def size_bytes(inputs: Tensors) -> int:
    """What a request's tensors hold in memory, strings included."""
    size = 0
    for tensor in inputs.values():
        size += tensor.nbytes
        if tensor.dtype.hasobject:
            size += sum(map(len, tensor.flat))
    return size
