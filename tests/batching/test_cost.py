"""The learned cost of a batch: between the sizes that were seen, beyond them, and the size that is best."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.batching.cost import CostCurve

SIZES = [2**n for n in range(9)]


def learned(cost: Callable[[int], float], sizes: list[int] = SIZES, runs: int = 4) -> CostCurve:
    curve = CostCurve()
    for rows in sizes:
        for _ in range(runs):
            curve.learn(rows, cost(rows))
    return curve


@given(fixed=st.floats(1e-5, 0.05), each=st.floats(1e-6, 0.01), rows=st.integers(1, 256))
def test_curve_is_what_was_measured_when_time_is_a_line(fixed: float, each: float, rows: int) -> None:
    curve = learned(lambda n: fixed + each * n)
    assert curve.seconds(rows) == pytest.approx(fixed + each * rows)


def test_time_grows_with_the_rows_beyond_what_is_known() -> None:
    assert learned(lambda n: 0.01 * n, [1, 2]).seconds(20) == pytest.approx(0.2)


def test_nothing_is_known_before_the_first_run() -> None:
    curve = CostCurve()
    assert (curve.seconds(1), curve.rows_within(1.0)) == (None, None)
    assert curve.best_rows(64, 1000) == 64
    assert curve.best_rows(64, 8) == 8


@given(times=st.lists(st.floats(1e-5, 1.0), min_size=1, max_size=9), budget=st.floats(1e-6, 2.0))
def test_rows_within_a_budget_keep_it(times: list[float], budget: float) -> None:
    """Whatever the shape: by the curve itself these rows take no longer, unless even one row does."""
    curve = learned(lambda n: times[n.bit_length() - 1], SIZES[: len(times)])
    rows = curve.rows_within(budget)
    assert rows is not None
    seconds = curve.seconds(rows)
    assert seconds is not None
    assert rows == 1 or seconds <= budget * (1 + 1e-9)


def test_first_runs_and_a_stall_do_not_count_for_much() -> None:
    curve = CostCurve()
    for seconds in (3.0, 0.01, 0.01, 0.01, 9.0, 0.01):
        curve.learn(1, seconds)
    assert curve.seconds(1) == pytest.approx(0.01, rel=0.3)


def test_times_are_followed_when_the_machine_gets_slower() -> None:
    curve = learned(lambda _: 0.01, [8])
    for _ in range(60):
        curve.learn(8, 0.02)
    assert curve.seconds(8) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    ("cost", "best"),
    [
        # Each row costs the same: nothing is gained beyond the size that batches start with.
        (lambda n: 0.02 * n, 64),
        # A plateau from 128 rows on.
        (lambda n: 0.01 * max(n / 128, 1), 128),
        # A cache overflows beyond 32 rows.
        (lambda n: 0.001 * n**0.5 if n <= 32 else 0.001 * n, 32),
    ],
)
def test_best_size_is_the_smallest_of_the_highest_throughput(cost: Callable[[int], float], best: int) -> None:
    assert learned(cost).best_rows(64, 1000) == best


def test_larger_sizes_are_tried_while_they_pay() -> None:
    def cost(n: int) -> float:
        return 0.05 + 1e-4 * n

    assert learned(cost, [1, 2, 4]).best_rows(64, 1000) == 64
    assert learned(cost, [1, 32, 64]).best_rows(64, 1000) == 128
    assert learned(cost, [1, 32, 64, 128]).best_rows(64, 1000) == 256
    assert learned(cost, [1, 32, 64, 128]).best_rows(64, 200) == 200


def test_long_batches_grow_for_a_clear_gain_only() -> None:
    """64 rows in 0.4 s: twice as many would have everybody wait for 0.8 s, so 10 % more throughput are not enough."""

    def cost(n: int) -> float:
        return 0.08 + 0.005 * n

    assert learned(cost, [16, 32, 64]).best_rows(64, 1000) == 64
    assert learned(cost, [16, 32, 64, 128, 256]).best_rows(64, 1000) == 64
    # The same shape at a hundredth of the time.
    assert learned(lambda n: cost(n) / 100, [16, 32, 64]).best_rows(64, 1000) == 128


def test_long_batches_grow_where_rows_cost_next_to_nothing() -> None:
    assert learned(lambda n: 0.3 + 1e-4 * n, [16, 32, 64]).best_rows(64, 1000) == 128


def test_rows_beyond_what_was_seen_cost_what_rows_have_cost_so_far() -> None:
    assert learned(lambda n: 0.01 * n, [1, 8]).row_seconds(64) == pytest.approx(0.01, rel=0.05)
    assert learned(lambda n: 0.01 * n, [8]).row_seconds(64) == pytest.approx(0.08 / 64, rel=0.05)
