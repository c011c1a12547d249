"""How many batches a line holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.batching.packing import Packing


@pytest.mark.parametrize(
    ("weights", "batches", "open_room"),
    [
        ([], 0, 0),
        ([4], 1, 0),
        ([1, 3], 1, 0),
        ([1, 2], 1, 1),
        ([3, 2], 2, 2),
        ([4, 1], 2, 3),
        ([0], 1, 4),
        ([3, 2, 3, 1], 3, 0),
    ],
)
def test_tasks_are_packed_in_order(weights: list[int], batches: int, open_room: int) -> None:
    packing = Packing(4, weights)
    assert (packing.batches, packing.open_room) == (batches, open_room)


@given(st.lists(st.integers(0, 4)))
def test_as_many_batches_as_rows_need_and_at_most_twice_as_many(weights: list[int]) -> None:
    needed = -(-sum(weights) // 4)
    assert needed <= Packing(4, weights).batches <= max(2 * needed, min(len(weights), 1))
