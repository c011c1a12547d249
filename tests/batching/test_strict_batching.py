"""The scheduler by TensorFlow Serving's rules: upstream's BatchingSession tests, and its bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors
from tests.batching.strict_batches import (
    SHAPES_DIFFER,
    TenfoldLane,
    all_ways_of_refusing,
    ask,
    refusal,
    strict,
    turns,
)

# Upstream's BatchingSession tests (batching_session_test.cc), by their names.


@pytest.mark.parametrize("splitting", [False, True])
async def test_basic_two_requests_share_a_batch(splitting: bool) -> None:
    lane = TenfoldLane()
    scheduler = strict(
        lane, max_batch_size=4, batch_timeout_micros=10**9, enable_large_batch_splitting=splitting
    )
    answers = await asyncio.gather(ask(scheduler, 1, 2), ask(scheduler, 3, 4))
    assert [answer["10x"].tolist() for answer in answers] == [[10, 20], [30, 40]]
    assert lane.batches == [[1, 2, 3, 4]]


async def test_singleton_batch_runs_as_it_is() -> None:
    lane = TenfoldLane()
    assert (await ask(strict(lane, max_batch_size=4), 1, 2))["10x"].tolist() == [10, 20]
    assert lane.batches == [[1, 2]]


async def test_order_of_inputs_does_not_matter_when_requests_share_a_batch() -> None:
    """DifferentOrderForInputAndOutputTensors: inputs are known by their names."""
    lane = TenfoldLane()
    scheduler = strict(lane, max_batch_size=4)
    x, y = np.float32([1, 2]), np.float32([3, 4])
    answers = await asyncio.gather(
        scheduler.submit("default", {"x": x, "y": y}, ("10x", "10y")),
        scheduler.submit("default", {"y": y + 2, "x": x + 4}, ("10x", "10y")),
    )
    assert [answer["10x"].tolist() for answer in answers] == [[10, 20], [50, 60]]
    assert [answer["10y"].tolist() for answer in answers] == [[30, 40], [50, 60]]
    assert len(lane.batches) == 1


async def test_signatures_and_output_subsets_have_batches_of_their_own() -> None:
    """MultipleSignatures, SubsetOutputTensors."""
    lane = TenfoldLane()
    scheduler = strict(lane, max_batch_size=10)
    x = {"x": np.float32([1])}
    calls = [("one", ("a", "b")), ("two", ("a", "b")), ("one", ("a",))]
    await asyncio.gather(*(scheduler.submit(key, x, outputs) for key, outputs in calls * 2))
    assert lane.batches == [[1, 1]] * 3
    assert sorted(lane.asked) == sorted(calls)


async def test_shapes_are_padded_with_the_first_element_when_padding_is_on() -> None:
    """BatchingWithPadding; outputs keep the padded shape."""
    lane = TenfoldLane()
    scheduler = strict(lane, max_batch_size=2, pad_variable_length_inputs=True)
    answers = await asyncio.gather(ask(scheduler, [[1, 2], [3, 4]]), ask(scheduler, [[5, 6, 7], [8, 9, 10]]))
    assert lane.batches == [[[[1, 2, 1], [3, 4, 1]], [[5, 6, 7], [8, 9, 10]]]]
    assert answers[0]["10x"].tolist() == [[[10, 20, 10], [30, 40, 10]]]


async def test_unequal_shapes_fail_every_request_of_the_batch_when_padding_is_off() -> None:
    """UnequalTensorShapesWithPaddingTurnedOff; the next batch is not touched."""
    scheduler = strict(TenfoldLane(), max_batch_size=2)
    requests = [ask(scheduler, [1, 2]), ask(scheduler, [1, 2, 3])]
    assert await all_ways_of_refusing(*requests) == {(Code.FAILED_PRECONDITION, SHAPES_DIFFER)}
    assert all(request.exception() is not None for request in requests)
    assert (await ask(scheduler, [1, 2]))["10x"].tolist() == [[10, 20]]


async def test_large_request_is_split_only_when_that_is_on() -> None:
    """BatchingWithLargeBatch, BatchingLazySplit."""
    lane = TenfoldLane()
    scheduler = strict(lane, max_batch_size=5, max_execution_batch_size=2, enable_large_batch_splitting=True)
    answers = await asyncio.gather(ask(scheduler, 1, 2, 3, 4, 5), ask(scheduler, 6))
    assert [answer["10x"].tolist() for answer in answers] == [[10, 20, 30, 40, 50], [60]]
    assert lane.batches == [[1, 2], [3, 4], [5, 6]]
    scheduler = strict(lane, max_batch_size=3)
    assert await refusal(ask(scheduler, 1, 2, 3, 4)) == (
        Code.INVALID_ARGUMENT,
        "Task size 4 is larger than maximum input batch size 3",
    )


async def test_input_limit_holds_when_splitting_is_on() -> None:
    scheduler = strict(
        TenfoldLane(), max_batch_size=3, max_execution_batch_size=2, enable_large_batch_splitting=True
    )
    with pytest.raises(ServingError, match="Task size 4 is larger than maximum input batch size 3"):
        await ask(scheduler, 1, 2, 3, 4)


async def test_failed_piece_fails_its_request_once_and_spares_the_rest() -> None:
    """BatchHandlesSplitError: the error of a piece is the request's. Ours runs the piece's mates again alone."""

    def picky(inputs: Tensors) -> Tensors:
        if 3 in inputs["x"]:
            raise ServingError(Code.INTERNAL, "no threes")
        return {"10x": inputs["x"] * 10}

    scheduler = strict(
        TenfoldLane(picky), max_batch_size=6, max_execution_batch_size=2, enable_large_batch_splitting=True
    )
    requests = [ask(scheduler, 1, 2, 3), ask(scheduler, 4)]
    assert await refusal(requests[0]) == (Code.INTERNAL, "no threes")
    assert (await requests[1])["10x"].tolist() == [40]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        ({"x": np.float32(1)}, "Batching Run() input tensors must have at least one dimension"),
        (
            {"x": np.float32([1, 2]), "y": np.float32([1])},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
async def test_lone_request_must_be_batchable_too(inputs: Tensors, message: str) -> None:
    """RequestWithIncompatibleInputTensorSizes: nothing is counted."""
    scheduler = strict(TenfoldLane())
    assert await refusal(scheduler.submit("default", inputs, ("y",))) == (Code.INVALID_ARGUMENT, message)
    assert scheduler.statistics().batches == 0


@pytest.mark.parametrize(
    ("allowed", "executed", "padding"), [((2, 4), 2, 0), ((1, 3, 4), 3, 1), ((4,), 4, 2), ((), 2, 0)]
)
async def test_batch_is_padded_to_an_allowed_size(
    allowed: tuple[int, ...], executed: int, padding: int
) -> None:
    """AllowedBatchSizesNoPaddingNeeded, AllowedBatchSizesRequirePadding."""
    lane = TenfoldLane()
    scheduler = strict(lane, max_batch_size=4, allowed_batch_sizes=allowed)
    assert (await ask(scheduler, 1, 2))["10x"].tolist() == [10, 20]
    assert lane.batches == [[1, 2] + [1] * (executed - 2)]
    statistics = scheduler.statistics()
    assert (statistics.rows, statistics.padding_rows) == (2, padding)


async def test_padding_rows_are_the_first_row_of_the_last_request() -> None:
    lane = TenfoldLane()
    scheduler = strict(lane, max_batch_size=8, allowed_batch_sizes=(8,))
    await asyncio.gather(ask(scheduler, 1, 2), ask(scheduler, 3, 4))
    assert lane.batches == [[1, 2, 3, 4, 3, 3, 3, 3]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allowed_batch_sizes": (4, 2)}, "must match max_batch_size; last entry was 2; expected 4"),
        ({"allowed_batch_sizes": (2, 8)}, "must match max_batch_size; last entry was 8; expected 4"),
        (
            {
                "allowed_batch_sizes": (4,),
                "enable_large_batch_splitting": True,
                "max_execution_batch_size": 2,
            },
            "must match max_execution_batch_size; last entry was 4; expected 2",
        ),
        (
            {"enable_large_batch_splitting": True, "max_execution_batch_size": 5},
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
            "max_execution_batch_size.",
        ),
        ({"max_enqueued_batches": -1}, "max_enqueued_batches must be non-negative; was -1"),
        ({"max_batch_size": 0}, "max_batch_size must be positive; was 0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    """UnsortedAllowedBatchSizesRejected, FinalAllowedBatchSizeLargerThanMaxBatchSizeRejected."""
    with pytest.raises(ServingError) as caught:
        BatchOptions(**{"max_batch_size": 4, **options})
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.endswith(message)


async def test_request_that_waited_too_long_is_resource_exhausted() -> None:
    """EnqueuedLongerThanTimeout."""
    now = [0.0]
    lane = TenfoldLane(held=True)
    scheduler = strict(lane, lambda: now[0], max_batch_size=4)
    running = ask(scheduler, 0)
    await turns()
    late = ask(scheduler, 1, timeout_s=0.5)
    await turns()
    now[0] = 1.0
    assert await refusal(asyncio.wait_for(late, 5)) == (
        Code.RESOURCE_EXHAUSTED,
        "Run() timeout exceeded while waiting in batching queue",
    )
    lane.gate.set()
    await running
    assert lane.batches == [[0]]


# Outputs.


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.float32(1), "Batched output tensor has 0 dimensions"),
        (
            np.float32([1]),
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
            "input tensors",
        ),
    ],
)
@pytest.mark.parametrize("batchable", [True, False])
async def test_output_without_a_row_per_row_fails_the_whole_batch(
    answer: Any, message: str, batchable: bool
) -> None:
    lane = TenfoldLane(lambda _inputs: {"10x": answer})
    scheduler = strict(lane, max_batch_size=4)
    requests = [ask(scheduler, 1, 2, batchable=batchable) for _ in range(2)]
    assert await all_ways_of_refusing(*requests) == {(Code.FAILED_PRECONDITION, message)}
    assert all(request.exception() is not None for request in requests)
    assert len(lane.batches) == (1 if batchable else 2)


@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=12),
    size=st.integers(1, 5),
    splitting=st.booleans(),
)
def test_every_row_goes_in_and_comes_out_exactly_once(sizes: list[int], size: int, splitting: bool) -> None:
    """The queue's conservation law: each request is answered its own rows, or refused for its size."""

    async def check() -> None:
        lane = TenfoldLane()
        scheduler = strict(
            lane,
            max_batch_size=7 if splitting else size,
            max_execution_batch_size=size if splitting else 0,
            enable_large_batch_splitting=splitting,
            max_enqueued_batches=100,
        )
        numbers = iter(range(1000))
        asked = [[next(numbers) for _ in range(rows)] for rows in sizes]
        answers = await asyncio.gather(*(ask(scheduler, *rows) for rows in asked), return_exceptions=True)
        run = [row for batch in lane.batches for row in batch]
        for rows, answer in zip(asked, answers, strict=True):
            if isinstance(answer, ServingError):
                assert len(rows) > size
                assert not splitting
                assert not set(rows) & set(run)
            else:
                assert answer["10x"].tolist() == [row * 10 for row in rows]  # type: ignore[index,union-attr]
        assert len(run) == len(set(run))
        assert all(len(batch) <= size for batch in lane.batches)

    asyncio.run(check())
