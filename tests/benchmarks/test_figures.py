"""The harness's own arithmetic: a wrong percentile would be published as somebody's figure."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.figures import (
    Spread,
    intended_starts,
    linear_cost,
    paired_ratio,
    percentile,
    spread,
    turns,
)


@pytest.mark.parametrize(("percent", "wanted"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentile_is_the_nearest_rank(percent, wanted) -> None:
    assert percentile(list(range(1, 101)), percent) == wanted


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_percentile_is_a_value_that_enough_others_do_not_exceed(values, percent) -> None:
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) / len(ordered) >= percent / 100 - 1e-9


def test_spread_is_the_median_with_both_ends() -> None:
    assert spread([5, 1, 9, 3, 7]) == Spread(5, 1, 9)
    assert spread([5, 1, 9, 3, 7]).relative == 8 / 5


def test_ratio_pairs_turns_when_the_machine_slows_down_for_both() -> None:
    """Half the turns at half the speed: the ratio of medians would be 3, that of pairs is 2."""
    assert paired_ratio([200, 100, 200], [100, 50, 100]) == Spread(2, 2, 2)
    assert paired_ratio([300, 100, 100], [100, 50, 50]).median == 2


def test_turns_alternate() -> None:
    assert "".join(turns("AB", 3)) == "ABABAB"


@settings(deadline=None, max_examples=50)
@given(st.floats(0.5, 200), st.floats(0.1, 3))
def test_open_loop_starts_keep_the_rate_whatever_happened_before(rate, seconds) -> None:
    starts = list(intended_starts(rate, seconds))
    assert len(starts) == max(1, round(rate * seconds))
    assert starts[0] == 0
    assert all(start == pytest.approx(number / rate) for number, start in enumerate(starts))


@pytest.mark.parametrize(
    ("costs", "wanted"), [([1, 10, 100], 1), ([1, 1, 1], 0), ([1, 100, 1000], 2), ([5, 5, 50], 1)]
)
def test_linear_cost_is_the_steepest_steps_exponent(costs, wanted) -> None:
    assert linear_cost([1, 10, 100], costs) == pytest.approx(wanted)
