"""Times and rates as a person writes them: `2h`, `5/s`, `burst=20`. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jupyter_tfserve.errors import invalid_argument

UNITS_S: Final[Mapping[str, float]] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
NEVER: Final = "never"
DEFAULT_EXPIRY: Final = "24h"
NO_LIMITS: Final = "off"
_NUMBER: Final = r"([0-9]{1,12}(?:\.[0-9]{1,6})?)"
_DURATION: Final = re.compile(_NUMBER + "([smhdw])")
_LATENCY: Final = re.compile(_NUMBER + "(ms|s)?")
_RATE: Final = re.compile(_NUMBER + "/([smh])")
_SETTINGS: Final = ("burst", "in_flight", "slow_start")


def parse_duration(text: str) -> float:
    """Seconds; ValueError if the text is none such as `90s`, `30m`, `2h`, `7d`, `1w`."""
    match = _DURATION.fullmatch(text)
    if match is None or not float(match[1]):
        raise ValueError(f"{text!r} is not a time such as 90s, 30m, 2h or 7d")
    return float(match[1]) * UNITS_S[match[2]]


def parse_milliseconds(text: str) -> float:
    """Milliseconds; ValueError if the text is none such as `20ms`, `20` or `1.5s`."""
    match = _LATENCY.fullmatch(text)
    if match is None or not float(match[1]):
        raise ValueError(f"{text!r} is not a time such as 20ms or 1.5s")
    return float(match[1]) * (1000 if match[2] == "s" else 1)


def parse_load(text: str) -> float:
    """Requests per second, `300` as well as `300/s`; ValueError if the text is neither."""
    return parse_rate(text if "/" in text else f"{text}/s")


def parse_rate(text: str) -> float:
    """Requests per second; ValueError if the text is none such as `5/s`, `100/m`, `1000/h`."""
    match = _RATE.fullmatch(text)
    if match is None or not float(match[1]):
        raise ValueError(f"{text!r} is not a rate such as 5/s, 100/m or 1000/h")
    return float(match[1]) / UNITS_S[match[2]]


def parse_limits(words: Iterable[str]) -> dict[str, Any]:
    """What `PUT …/limits` takes, from words such as `100/s burst=20 in_flight=8 slow_start=30s`; `off` is nothing.

    INVALID_ARGUMENT names the first word that is neither a rate nor a setting.
    """
    given = tuple(words)
    if given == (NO_LIMITS,):
        return {}
    if not given:
        raise invalid_argument("No limit was given.", "For example 100/s burst=20, in_flight=8, or off.")
    limits: dict[str, Any] = {}
    for word in given:
        limits.update(_setting(word))
    return limits


def describe_limits(limits: Mapping[str, Any]) -> str:
    """The limits in a person's words, `no limits` if there are none."""
    words = []
    if limits.get("requests_per_second") is not None:
        words.append(describe_rate(limits["requests_per_second"]))
    for name, text in (("burst", "bursts of {}"), ("max_in_flight", "{} at once")):
        if limits.get(name) is not None:
            words.append(text.format(limits[name]))
    if limits.get("slow_start_s") is not None:
        words.append(f"slow start over {limits['slow_start_s']:g} s")
    return ", ".join(words) or "no limits"


def describe_rate(per_second: float) -> str:
    """A rate in the first unit in which it is a whole number, as it was written; per second if there is none."""
    for unit in ("s", "m", "h"):
        rate = per_second * UNITS_S[unit]
        if rate >= 1 and math.isclose(rate, round(rate)):
            return f"{round(rate)}/{unit}"
    return f"{per_second:g}/s"


def _setting(word: str) -> dict[str, Any]:
    name, equals, value = word.partition("=")
    try:
        if not equals:
            return {"requests_per_second": parse_rate(word)}
        if name == "slow_start":
            return {"slow_start_s": parse_duration(value)}
        if name in _SETTINGS:
            return {"max_in_flight" if name == "in_flight" else name: _count(value)}
    except ValueError as error:
        raise invalid_argument(f"{error}.") from None
    raise invalid_argument(
        f"There is no limit {name!r}.", f"A rate such as 5/s, {', '.join(_SETTINGS)}, or off."
    )


def _count(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) is None or not int(text):
        raise ValueError(f"{text!r} is not a count: a whole number from 1")
    return int(text)
