"""Padding, splitting and their inverses, apart from any queue (upstream's BatchingUtil tests)."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from jupyter_tfserve.batching.rules import align, join_rows, split_rows
from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.errors import Code, ServingError


def test_largest_dimension_of_each_axis_is_taken() -> None:
    """CalculateMaxDimSizes."""
    parts = [np.zeros((10, 20, 30)), np.zeros((1, 100, 5)), np.zeros((1, 1, 1))]
    assert [part.shape for part in align("x", parts, True)] == [(10, 100, 30), (1, 100, 30), (1, 100, 30)]


@pytest.mark.parametrize("rank", range(2, 7))
def test_padding_is_at_the_ends_when_the_rank_is_up_to_six(rank: int) -> None:
    small, large = np.full((1,) + (1,) * (rank - 1), 7), np.full((1,) + (2,) * (rank - 1), 9)
    padded = align("x", [small, large], True)
    assert padded[0].shape == (1,) + (2,) * (rank - 1)
    assert set(padded[0].ravel()) == {7}
    assert padded[1] is large


def test_rank_of_seven_cannot_be_padded() -> None:
    with pytest.raises(ServingError, match="Only tensors with rank from 1 to 6 can be padded") as caught:
        align("x", [np.zeros((1,) * 7), np.zeros((1,) * 6 + (2,))], True)
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_tensor_is_padded_with_its_own_first_element_whatever_its_dtype(name: str) -> None:
    dtype = DTYPES[name].numpy
    values = [b"a", b"", b"c"] if dtype.kind == "O" else np.array([1, 0, 1]).astype(dtype)
    tensor = np.empty((1, 3), dtype)
    tensor[0, :] = values
    padded, _ = align("x", [tensor, np.zeros((1, 5), dtype)], True)
    assert padded.dtype == dtype
    assert padded[0, 3:].tolist() == [tensor[0, 0]] * 2
    assert padded[0, :3].tolist() == tensor[0].tolist()


def test_bfloat16_is_among_the_dtypes() -> None:
    assert DTYPES["bfloat16"].numpy == ml_dtypes.bfloat16


def test_empty_tensor_cannot_be_padded() -> None:
    with pytest.raises(ServingError, match="Got empty tensor in batch of non-empty tensors"):
        align("x", [np.zeros((1, 0)), np.zeros((1, 2))], True)


def test_ranks_that_differ_are_not_padded() -> None:
    with pytest.raises(ServingError, match="have different shapes") as caught:
        align("x", [np.zeros((1, 2)), np.zeros((1, 2, 2))], True)
    assert caught.value.code is Code.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("rows", "first", "sizes"),
    [(4, 0, [3, 1]), (6, 0, [3, 3]), (2, 0, [2]), (4, 1, [1, 3]), (6, 2, [2, 3, 1])],
)
def test_pieces_join_to_the_whole(rows: int, first: int, sizes: list[int]) -> None:
    inputs = {"a": np.arange(rows), "b": np.arange(rows * 2).reshape(rows, 2)}
    pieces = split_rows(inputs, rows, 3, first)
    assert [len(piece["a"]) for piece in pieces] == sizes
    joined = join_rows(pieces)
    assert all(np.array_equal(joined[alias], inputs[alias]) for alias in inputs)
