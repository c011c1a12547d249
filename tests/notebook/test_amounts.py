"""Times, rates and limits as a person writes them."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.limits import limits_from_json
from jupyter_tfserve.notebook.amounts import describe_limits, parse_duration, parse_limits, parse_rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5h", 5400), ("7d", 604_800), ("1w", 604_800)],
)
def test_time_is_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("text", "rate"), [("5/s", 5), ("0.5/s", 0.5), ("30/m", 0.5), ("3600/h", 1)])
def test_rate_is_read(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "2", "h", "-2h", "0h", "2 h", "2H", "1e9h", "２h", "2h\n", "nanh", "infs"]
)
def test_time_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="not a time such as"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "5", "5/", "/s", "-5/s", "0/s", "5/d", "5 / s", "5/s/s", "1e3/s"])
def test_rate_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="not a rate such as"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("words", "limits", "text"),
    [
        (["off"], {}, "no limits"),
        (["100/s"], {"requests_per_second": 100}, "100/s"),
        (
            ["100/s", "burst=20", "in_flight=8", "slow_start=30s"],
            {"requests_per_second": 100, "burst": 20, "max_in_flight": 8, "slow_start_s": 30},
            "100/s, bursts of 20, 8 at once, slow start over 30 s",
        ),
        (["in_flight=1"], {"max_in_flight": 1}, "1 at once"),
        (["30/m"], {"requests_per_second": 0.5}, "30/m"),
        (["100/m"], {"requests_per_second": 100 / 60}, "100/m"),
        (["7/h"], {"requests_per_second": 7 / 3600}, "7/h"),
        (["2.5/s"], {"requests_per_second": 2.5}, "150/m"),
        (["0.001/h"], {"requests_per_second": 0.001 / 3600}, "2.77778e-07/s"),
        (["2000000/s"], {"requests_per_second": 2e6}, "2000000/s"),
    ],
)
def test_limits_are_read_and_told_and_the_engine_takes_them(words, limits, text):
    assert parse_limits(words) == limits
    assert describe_limits(limits) == text
    limits_from_json(limits)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "No limit was given"),
        (["fast"], "'fast' is not a rate"),
        (["burst=x"], "'x' is not a count"),
        (["burst=0"], "'0' is not a count"),
        (["slow_start=5"], "'5' is not a time"),
        (["speed=5"], "There is no limit 'speed'"),
        (["off", "5/s"], "'off' is not a rate"),
    ],
)
def test_limits_that_are_none_are_refused_by_the_word(words, text):
    with pytest.raises(ServingError) as caught:
        parse_limits(words)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert text in caught.value.message
