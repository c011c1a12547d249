"""Limits as a caller writes them: what is taken, and what each wrong one is told."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.limits import FlowLimits, limits_from_json


@pytest.mark.parametrize(
    "limits",
    [
        FlowLimits(),
        FlowLimits(max_in_flight=3),
        FlowLimits(0.5, 1),
        FlowLimits(100, 20, 8, 30.0),
    ],
)
def test_limits_come_back_as_they_were_when_read_from_their_json(limits):
    assert limits_from_json(limits.to_json()) == limits


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"requests_per_second": 0}, "'requests_per_second' must be a positive number"),
        ({"requests_per_second": -1}, "'requests_per_second'"),
        ({"requests_per_second": True}, "'requests_per_second'"),
        ({"requests_per_second": "5"}, "'requests_per_second'"),
        ({"requests_per_second": 1e300}, "'requests_per_second'"),
        ({"requests_per_second": float("nan")}, "'requests_per_second'"),
        ({"requests_per_second": 5, "burst": 1.5}, "'burst' must be a positive whole number"),
        ({"max_in_flight": 0}, "'max_in_flight'"),
        ({"max_in_flight": 10**30}, "'max_in_flight'"),
        ({"max_in_flight": [1]}, "'max_in_flight'"),
        ({"burst": 5}, "'burst' needs 'requests_per_second'"),
        ({"slow_start_s": 5}, "'slow_start_s' needs 'requests_per_second'"),
        ({"rate": 5}, "There is no limit 'rate': expected requests_per_second, burst"),
    ],
)
def test_limits_are_refused_by_name(document, text):
    with pytest.raises(ServingError) as caught:
        limits_from_json(document)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert text in caught.value.message
