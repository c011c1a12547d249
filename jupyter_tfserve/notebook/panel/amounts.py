"""Numbers as a person reads them in a table: sizes, rates, latencies, ages. Pure."""

from __future__ import annotations

from typing import Final

NOTHING: Final = "–"
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def size_text(count: int | None) -> str:
    """`12.3 MB`, in decimal units."""
    if count is None:
        return NOTHING
    value = float(count)
    for unit in ("B", "kB", "MB"):
        # What would be rounded to 1000 is the next unit's 1.
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB" if value < 999.5 else f"{value:.0f} GB"


def rate_text(per_second: float) -> str:
    """`41`, `3.2` or `0`."""
    if per_second == 0:
        return "0"
    return f"{per_second:.0f}" if per_second >= 9.95 else f"{max(per_second, 0.1):.1f}"


def latency_text(milliseconds: float | None) -> str:
    """`3.2 ms`."""
    if milliseconds is None:
        return NOTHING
    digits = 0 if milliseconds >= 99.95 else 1 if milliseconds >= 0.995 else 2
    return f"{milliseconds:.{digits}f} ms"


def age_text(since: float | None, now: float) -> str:
    """`12 s`, `3 min`, `5 h` or `2 d` since then."""
    if since is None:
        return NOTHING
    age = max(now - since, 0.0)
    for limit, unit, name in ((_MINUTE_S, 1, "s"), (_HOUR_S, _MINUTE_S, "min"), (_DAY_S, _HOUR_S, "h")):
        if age < limit:
            return f"{age // unit:.0f} {name}"
    return f"{age // _DAY_S:.0f} d"
