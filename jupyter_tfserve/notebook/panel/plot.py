"""Lines over the last minute as inline SVG, in the theme's colours, with the same in words. Pure.

Drawn once a second in every open panel, where matplotlib would cost tens of milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from jupyter_tfserve.engine.client_figures import VersionFigures

MAX_LINES: Final = 4
"""As many as there are styles that can be told apart."""
WIDTH: Final = 300
HEIGHT: Final = 92
_LEFT: Final = 44
_TOP: Final = 8
_BOTTOM: Final = 18
_RIGHT: Final = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One version's values, by seconds since the epoch; None where there is none. The oldest first."""

    version: int
    points: tuple[tuple[float, float | None], ...]

    @property
    def last(self) -> float | None:
        """The newest value."""
        return self.points[-1][1] if self.points else None


def rate_lines(versions: Iterable[tuple[int, VersionFigures]]) -> tuple[Line, ...]:
    """Requests per second."""
    return tuple(
        Line(version, tuple((point.time, point.requests_per_second) for point in figures.history))
        for version, figures in versions
    )


def latency_lines(versions: Iterable[tuple[int, VersionFigures]]) -> tuple[Line, ...]:
    """The 99th percentile of latency, in milliseconds."""
    return tuple(
        Line(version, tuple((point.time, point.p99_ms) for point in figures.history))
        for version, figures in versions
    )


def plot_html(
    title: str, lines: Sequence[Line], text: Callable[[float], str], now: float, span_s: float
) -> str:
    """A figure: the title, the plot of the first `MAX_LINES` lines, and a legend with the newest values."""
    shown = lines[:MAX_LINES]
    top = _nice_top(shown)
    drawn = "".join(_path(line, index, top, now, span_s) for index, line in enumerate(shown))
    names = "".join(_legend(line, index, text) for index, line in enumerate(shown))
    more = f"<li>{len(lines) - MAX_LINES} more versions</li>" if len(lines) > MAX_LINES else ""
    words = ", ".join(_words(line, text) for line in shown) or "no version serves"
    label = escape(f"{title} in the last {span_s:.0f} seconds: {words}.", quote=True)
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{label}'>"
        f"{_axes(text(top), span_s)}{drawn}</svg><ul>{names}{more}</ul></figure>"
    )


def _axes(top: str, span_s: float) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    return (
        f"<path class='axis' d='M{_LEFT} {_TOP}H{right}M{_LEFT} {_TOP}V{bottom}H{right}'/>"
        f"<text x='{_LEFT - 4}' y='{_TOP + 4}' text-anchor='end'>{escape(top)}</text>"
        f"<text x='{_LEFT - 4}' y='{bottom + 3}' text-anchor='end'>0</text>"
        f"<text x='{_LEFT}' y='{HEIGHT - 4}'>{span_s:.0f} s ago</text>"
        f"<text x='{right}' y='{HEIGHT - 4}' text-anchor='end'>now</text>"
    )


def _path(line: Line, index: int, top: float, now: float, span_s: float) -> str:
    """The line; where a value is missing it is broken, and a lone value is a dot."""
    steps: list[str] = []
    is_broken = True
    for time, value in line.points:
        age = now - time
        if value is None or not 0 <= age <= span_s:
            is_broken = True
            continue
        x = _LEFT + (WIDTH - _RIGHT - _LEFT) * (1 - age / span_s)
        y = _TOP + (HEIGHT - _BOTTOM - _TOP) * (1 - value / top)
        # A line of no length has round ends: a dot.
        steps.append(f"M{x:.1f} {y:.1f}h0" if is_broken else f"L{x:.1f} {y:.1f}")
        is_broken = False
    return f"<path class='line line{index}' d='{''.join(steps)}'/>" if steps else ""


def _legend(line: Line, index: int, text: Callable[[float], str]) -> str:
    mark = f"<svg viewBox='0 0 24 6' aria-hidden='true'><path class='line line{index}' d='M1 3H23'/></svg>"
    return f"<li>{mark} {escape(_words(line, text))}</li>"


def _words(line: Line, text: Callable[[float], str]) -> str:
    return f"version {line.version} {'–' if line.last is None else text(line.last)}"


def _nice_top(lines: Sequence[Line]) -> float:
    """The end of the axis: 1, 2 or 5 times a power of ten, and no less than any value."""
    highest = max((value for line in lines for _, value in line.points if value is not None), default=0.0)
    if highest <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(highest))
    return next((step * power for step in (1, 2, 5) if step * power >= highest), 10 * power)
