"""dataplane.pace: who takes steadily is waited for, who takes crumbs is not."""

from __future__ import annotations

from jupyter_tfserve.dataplane.pace import Pace
from jupyter_tfserve.options import LimitOptions

LIMITS = LimitOptions(write_timeout_s=30.0, min_body_bytes_per_s=1000)


def seconds_until_too_slow(pace: Pace, taken_a_second: int, until: int = 1000) -> int | None:
    return next((now for now in range(1, until) if pace.is_too_slow(taken_a_second, now)), None)


def test_pace_is_kept_for_ever_when_enough_is_taken():
    assert seconds_until_too_slow(Pace(LIMITS, 0.0), 1000) is None


def test_pace_is_too_slow_when_only_crumbs_are_taken():
    assert seconds_until_too_slow(Pace(LIMITS, 0.0), 0) == 31
    assert seconds_until_too_slow(Pace(LIMITS, 0.0), 1) == 31
    assert seconds_until_too_slow(Pace(LIMITS, 0.0), 500) == 61


def test_pace_gives_no_credit_for_what_was_taken_fast():
    pace = Pace(LIMITS, 0.0)
    assert not pace.is_too_slow(10**9, 1.0)
    assert not pace.is_too_slow(0, 31.0)
    assert pace.is_too_slow(0, 31.5)


def test_pace_begins_again_when_something_waits_again():
    pace = Pace(LIMITS, 0.0)
    pace.begin(100.0)
    assert not pace.is_too_slow(0, 130.0)
    assert pace.is_too_slow(0, 131.0)
