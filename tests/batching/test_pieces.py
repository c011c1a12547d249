"""Requests in pieces: one answer in the order of the rows, one error, nobody left waiting."""

from __future__ import annotations

import numpy as np

from jupyter_tfserve.batching.pieces import Pieces, in_pieces
from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Tensors


class Whole:
    """Who waits for the whole request."""

    def __init__(self) -> None:
        self.told: list[Tensors | ServingError] = []
        self.gone = False

    def done(self) -> bool:
        return self.gone or bool(self.told)

    def set_result(self, outputs: Tensors, /) -> None:
        self.told.append(outputs)

    def set_exception(self, error: ServingError, /) -> None:
        self.told.append(error)


def rows(*values: float) -> Tensors:
    return {"y": np.array(values, np.float32)}


def test_answers_are_joined_in_order_when_the_last_piece_is_answered() -> None:
    whole = Whole()
    pieces = Pieces(whole, 3)
    first, second, third = (pieces.waiter(place) for place in range(3))
    third.set_result(rows(4))
    first.set_result(rows(1, 2))
    assert (first.done(), second.done(), whole.told) == (True, False, [])
    second.set_result(rows(3))
    (answer,) = whole.told
    assert isinstance(answer, dict)
    assert answer["y"].tolist() == [1, 2, 3, 4]


def test_nobody_waits_when_one_piece_failed() -> None:
    whole, error = Whole(), ServingError(Code.INTERNAL, "no")
    pieces = Pieces(whole, 2)
    first, second = pieces.waiter(0), pieces.waiter(1)
    first.set_exception(error)
    assert whole.told == [error]
    assert second.done()


def test_nobody_waits_when_the_request_is_gone_or_given_up() -> None:
    whole = Whole()
    pieces = Pieces(whole, 2)
    piece = pieces.waiter(1)
    assert not piece.done()
    whole.gone = True
    assert piece.done()
    whole.gone = False
    pieces.give_up()
    assert piece.done()


def test_request_fails_when_its_pieces_answers_have_different_shapes() -> None:
    whole = Whole()
    pieces = Pieces(whole, 2)
    pieces.waiter(0).set_result({"y": np.zeros((1, 2))})
    pieces.waiter(1).set_result({"y": np.zeros((1, 3))})
    (error,) = whole.told
    assert isinstance(error, ServingError)
    assert error.code is Code.INTERNAL


def test_request_is_answered_in_order_when_its_pieces_are_answered_in_any() -> None:
    whole = Whole()
    task = BatchTask("s", rows(1, 2, 3), ("y",), 3, 12, 0.0, 5.0, whole)
    tasks, _ = in_pieces(task, 2)
    assert [(piece.rows, piece.size_bytes, piece.deadline) for piece in tasks] == [(2, 8, 5.0), (1, 4, 5.0)]
    for piece in reversed(tasks):
        piece.future.set_result(piece.inputs)
    (answer,) = whole.told
    assert isinstance(answer, dict)
    assert answer["y"].tolist() == [1, 2, 3]
    assert [piece.rows for piece in in_pieces(task, 2, first=1)[0]] == [1, 2]
