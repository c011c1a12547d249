"""traffic: percentiles that are near the truth, rates by the time that passed, and a minute's memory."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.traffic import TRAFFIC_LIMITS, WINDOW_S, Traffic, percentile_ms


def answered(traffic: Traffic, *latencies_ms: float) -> None:
    for latency in latencies_ms:
        traffic.counts[bisect_right(TRAFFIC_LIMITS, latency * 1000)] += 1


def test_limits_reach_from_10_micros_to_15_minutes_in_small_steps():
    assert TRAFFIC_LIMITS[0] == 10
    assert TRAFFIC_LIMITS[-1] > 15 * 60e6
    assert max(high / low for low, high in pairwise(TRAFFIC_LIMITS)) < 1.151


@given(st.lists(st.floats(0.011, 900_000), min_size=1, max_size=50), st.sampled_from([0.5, 0.99]))
def test_percentile_is_in_the_bucket_of_the_true_one(latencies, share):
    traffic = Traffic(0)
    answered(traffic, *latencies)
    true = sorted(latencies)[math.ceil(len(latencies) * share) - 1]
    found = percentile_ms(dict(enumerate(traffic.counts)), share)
    assert found == pytest.approx(true, rel=0.151)


def test_percentile_is_none_when_nothing_was_answered():
    assert percentile_ms({}, 0.99) is None


def test_slower_than_the_last_limit_counts_as_the_last_limit():
    assert percentile_ms({len(TRAFFIC_LIMITS): 1}, 0.5) == TRAFFIC_LIMITS[-1] / 1000


def test_rates_are_by_the_time_that_has_passed():
    traffic = Traffic(100.0)
    answered(traffic, 1, 1, 1)
    traffic.errors += 1
    traffic.turn(102.0, 5000.0)
    answered(traffic, 1, 1)
    figures = traffic.figures(104.0)
    assert (figures.requests, figures.requests_per_second, figures.errors_per_second) == (6, 1.5, 0.25)
    assert [(one.time, one.requests_per_second) for one in figures.history] == [(5000.0, 2.0)]
    assert figures.history[0].p99_ms == pytest.approx(1, rel=0.15)


def test_first_moments_make_no_high_rates():
    traffic = Traffic(100.0)
    answered(traffic, 1)
    assert traffic.figures(100.001).requests_per_second == 1.0


def test_failures_are_in_no_percentile():
    traffic = Traffic(0)
    traffic.errors += 5
    traffic.turn(1.0, 1.0)
    figures = traffic.figures(1.5)
    assert (figures.requests, figures.p50_ms, figures.p99_ms) == (5, None, None)
    assert figures.history[0].p99_ms is None


def test_minute_that_is_over_is_forgotten_but_for_the_number_of_requests():
    traffic = Traffic(0)
    answered(traffic, 7, 7)
    traffic.errors += 1
    for second in range(1, WINDOW_S + 2):
        traffic.turn(second, second)
    figures = traffic.figures(WINDOW_S + 1)
    assert (figures.requests, figures.requests_per_second, figures.errors_per_second) == (3, 0, 0)
    assert figures.p50_ms is None
    assert len(figures.history) == WINDOW_S
    assert figures.history[-1].time == WINDOW_S + 1


def test_block_is_counted_by_its_end():
    traffic = Traffic(0)
    with traffic.timed():
        pass
    with pytest.raises(ValueError, match="x"), traffic.timed():
        raise ValueError("x")
    assert (sum(traffic.counts), traffic.errors) == (1, 1)
