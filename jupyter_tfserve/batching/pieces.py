"""A request that runs in several tasks: one answer, made of those of its pieces, for the one who waits."""

from __future__ import annotations

from dataclasses import replace

from jupyter_tfserve.batching.rules import join_rows, split_rows
from jupyter_tfserve.batching.task import BatchTask, Waiter, batch_rows, size_bytes
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Tensors


class Pieces:
    """`whole` is told all rows when every piece has its answer, or the first error.

    Then, if it has gone, or after `give_up`, nobody waits for any piece.
    """

    __slots__ = ("_answers", "_is_given_up", "_missing", "whole")

    def __init__(self, whole: Waiter, count: int) -> None:
        self.whole = whole
        self._answers: list[Tensors] = [{}] * count
        self._missing = count
        self._is_given_up = False

    def waiter(self, place: int) -> Waiter:
        """Who waits for the piece at that place."""
        return _Piece(self, place)

    def give_up(self) -> None:
        """No answer is wanted any more."""
        self._is_given_up = True

    @property
    def are_over(self) -> bool:
        """Whether nobody waits for any of them."""
        return self._is_given_up or self.whole.done()

    def answered(self, place: int, outputs: Tensors) -> None:
        """One piece has its answer."""
        self._answers[place] = outputs
        self._missing -= 1
        if self._missing:
            return
        try:
            joined = join_rows(self._answers)
        except ValueError:
            text = "The model's answers to the pieces of the request have different shapes"
            self.whole.set_exception(ServingError(Code.INTERNAL, text))
        else:
            self.whole.set_result(joined)


class _Piece:
    """Waits for one of them."""

    __slots__ = ("_is_answered", "_pieces", "_place")

    def __init__(self, pieces: Pieces, place: int) -> None:
        self._pieces = pieces
        self._place = place
        self._is_answered = False

    def done(self) -> bool:
        return self._is_answered or self._pieces.are_over

    def set_result(self, outputs: Tensors, /) -> None:
        self._is_answered = True
        self._pieces.answered(self._place, outputs)

    def set_exception(self, error: ServingError, /) -> None:
        self._pieces.whole.set_exception(error)


def in_pieces(task: BatchTask, size: int, first: int = 0) -> tuple[list[BatchTask], Pieces]:
    """The tasks of at most `size` rows that a task is run as, before them one of `first` rows, unless 0."""
    parts = split_rows(task.inputs, task.rows, size, first)
    pieces = Pieces(task.future, len(parts))
    tasks = [
        replace(
            task,
            inputs=part,
            rows=batch_rows(part),
            size_bytes=size_bytes(part),
            future=pieces.waiter(place),
        )
        for place, part in enumerate(parts)
    ]
    return tasks, pieces
