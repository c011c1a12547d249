"""The adaptive policy as a pure function: what it promises for any cost of a model and any arrivals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jupyter_tfserve.batching.planner import HALF, TRY_LARGER_EVERY, BatchPlanner
from jupyter_tfserve.options import BatchOptions

COSTS = st.tuples(st.floats(1e-4, 0.02), st.floats(1e-6, 2e-3))
SIZES = [2**n for n in range(11)]


@dataclass
class Waiting:
    rows: int
    oldest: float
    signature: str = "s"


def planner(cost: Callable[[int], float], **options: float) -> BatchPlanner:
    planner = BatchPlanner(BatchOptions(**options))  # type: ignore[arg-type]
    for _ in range(4):
        for rows in SIZES:
            planner.learn("s", rows, cost(rows))
    return planner


def simulate(planner: BatchPlanner, cost: Callable[[int], float], arrivals: list[float]) -> list[float]:
    """Latencies on one lane that never rests while somebody waits; first come, first served."""
    latencies: list[float] = []
    queue: list[float] = []
    now, coming = 0.0, list(arrivals)
    while coming or queue:
        if not queue:
            now = max(now, coming[0])
        while coming and coming[0] <= now:
            queue.append(coming.pop(0))
        size = planner.rows(Waiting(len(queue), queue[0]), now)
        assert size >= 1
        batch, queue = queue[:size], queue[size:]
        now += cost(len(batch))
        planner.learn("s", len(batch), cost(len(batch)))
        latencies += [now - arrived for arrived in batch]
    return latencies


@settings(deadline=None)
@given(cost=COSTS, goal_ms=st.floats(1, 200), load=st.floats(0.05, 0.8))
def test_goal_is_kept_when_it_can_be(cost: tuple[float, float], goal_ms: float, load: float) -> None:
    """Steady arrivals below what batches of the goal's size can carry: no request takes longer than the goal."""

    def seconds(rows: int) -> float:
        return cost[0] + cost[1] * rows

    rows = (HALF * goal_ms / 1000 - cost[0]) / cost[1]
    assume(rows >= 3)
    rows = min(int(rows), SIZES[-1])
    rate = load * (rows - 1) / seconds(rows)
    latencies = simulate(planner(seconds, target_p99_ms=goal_ms), seconds, [n / rate for n in range(600)])
    assert max(latencies) <= goal_ms / 1000


@settings(deadline=None)
@given(cost=COSTS, goal_ms=st.floats(0, 50), gaps=st.lists(st.floats(0, 0.01), min_size=1, max_size=300))
def test_everybody_is_served_whatever_the_goal(
    cost: tuple[float, float], goal_ms: float, gaps: list[float]
) -> None:
    arrivals = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    latencies = simulate(
        planner(lambda n: cost[0] + cost[1] * n, target_p99_ms=goal_ms),
        lambda n: cost[0] + cost[1] * n,
        arrivals,
    )
    assert len(latencies) == len(arrivals)


def test_late_line_is_drained_with_the_best_throughput() -> None:
    """A burst that can't be in time: small batches would only make everybody later."""
    goal = planner(lambda n: 0.01 + 1e-5 * n, target_p99_ms=25)
    in_time = goal.rows(Waiting(500, 0.0), 0.0)
    late = goal.rows(Waiting(500, 0.0), 1.0)
    assert in_time < late
    assert 2 * (0.01 + 1e-5 * in_time) <= 0.025


def test_one_batch_of_many_is_larger_than_the_best_when_there_is_no_goal() -> None:
    plan = planner(lambda n: 0.01 * max(n / 64, 1))
    sizes = []
    for _ in range(2 * TRY_LARGER_EVERY):
        sizes.append(plan.rows(Waiting(500, 0.0), 0.0))
        plan.learn("s", 64, 0.01)
    assert sizes.count(64) >= 2 * TRY_LARGER_EVERY - 3
    assert 128 in sizes


def test_size_never_exceeds_the_option() -> None:
    plan = planner(lambda _: 0.01, max_batch_size=48)
    assert {plan.limit("s"), plan.rows(Waiting(500, 0.0), 0.0), plan.limit("unknown")} == {48}


def test_signature_has_its_own_options_and_settings_change_at_once() -> None:
    plan = planner(lambda _: 0.01)
    plan.configure(BatchOptions(max_batch_size=100), {"s": BatchOptions(max_batch_size=4)})
    assert (plan.limit("s"), plan.options("t").max_batch_size) == (4, 100)
    plan.configure(BatchOptions(max_batch_size=200), {})
    assert plan.limit("s") == 200


def test_batches_are_padded_to_powers_of_two_when_new_sizes_are_dear() -> None:
    plan = BatchPlanner(BatchOptions())
    assert plan.padded("s", 5) == 5
    for rows in (3, 5, 6, 7):
        plan.learn("s", rows, 1.5)
        plan.learn("s", rows, 0.002)
    assert [plan.padded("s", rows) for rows in (1, 5, 8, 9)] == [1, 8, 8, 16]
    assert plan.learned()["s"].pads_to_powers_of_two


@pytest.mark.parametrize("first_s", [0.002, 0.019])
def test_batches_are_not_padded_when_new_sizes_cost_little(first_s: float) -> None:
    plan = BatchPlanner(BatchOptions())
    for rows in (3, 5, 6, 7):
        plan.learn("s", rows, first_s)
        plan.learn("s", rows, 0.002)
    assert plan.padded("s", 5) == 5


def test_rows_are_padded_from_the_start_when_few_sizes_are_wanted():
    few = BatchPlanner(BatchOptions(pad_to_powers_of_two=True, max_batch_size=48))
    assert [few.padded("s", rows) for rows in (1, 2, 3, 5, 17, 32, 33, 48)] == [1, 2, 4, 8, 32, 32, 33, 48]
    strict = BatchPlanner(BatchOptions(pad_to_powers_of_two=True, strict=True))
    assert strict.padded("s", 3) == 3
    listed = BatchPlanner(
        BatchOptions(pad_to_powers_of_two=True, allowed_batch_sizes=(6, 10), max_batch_size=10)
    )
    assert listed.padded("s", 3) == 6


def test_batch_that_shared_the_processors_makes_no_larger_one_look_quicker() -> None:
    """Side by side 32 rows take as long as 64 do alone: that is company, and no gain of the size."""
    planner = BatchPlanner(BatchOptions())
    for _ in range(40):
        planner.learn("s", 32, 0.08)
    planner.take_turns(side_by_side=False)
    for _ in range(40):
        planner.learn("s", 64, 0.08)
    assert planner.limit("s") <= 64
    assert planner.row_seconds("s", 1) == pytest.approx(0.08 / 64, rel=0.1)
    planner.take_turns(side_by_side=True)
    assert planner.row_seconds("s", 1) == pytest.approx(0.08 / 64, rel=0.1)
    assert planner.seconds("s", 32) == pytest.approx(0.08)


def test_goal_holds_in_the_first_batch_after_turns_change() -> None:
    """Nothing has run one at a time yet: what batches took side by side is what is known."""
    planner = BatchPlanner(BatchOptions(target_p99_ms=100))
    for _ in range(40):
        planner.learn("s", 8, 0.08)
    before = planner.limit("s")
    planner.take_turns(side_by_side=False)
    assert planner.limit("s") == before < 8
    assert planner.seconds("s", 8) == pytest.approx(0.08)
