"""What becomes of requests whose worker died under them: tried once more, unless that would end the next one too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from jupyter_tfserve.batching.lane import LaneGone
from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Tensors

Refusal: TypeAlias = Callable[[str, Tensors], ServingError | None]
"""By (signature, inputs): the error of a request that is known to end the process that runs it; None for others."""


def refuse_nothing(_signature: str, _inputs: Tensors) -> ServingError | None:
    """The `Refusal` of who knows no signatures."""
    return None


def take_lost(batch: Iterable[BatchTask], gone: LaneGone, refusal: Refusal, is_open: bool) -> list[BatchTask]:
    """Those to try again, each once in its life; the others have their error. Nobody is, unless `is_open`."""
    again = []
    for task in batch:
        # Also about a caller that has left: what it sent is what must not come again.
        error = refusal(task.signature, task.inputs)
        if error is None and (task.was_lost or not is_open):
            text = f"The model's worker died while it ran the request: {gone.reason}"
            error = ServingError(Code.UNAVAILABLE, text)
        if task.future.done():
            continue
        if error is not None:
            task.future.set_exception(error)
            continue
        task.was_lost = True
        again.append(task)
    return again


def refuse_waiting(queue: Iterable[BatchTask], refusal: Refusal) -> None:
    """Answers who would end the next worker; whoever holds the queue drops them in their turn."""
    for task in queue:
        if not task.future.done() and (error := refusal(task.signature, task.inputs)) is not None:
            task.future.set_exception(error)
