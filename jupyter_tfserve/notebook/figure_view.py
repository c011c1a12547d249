"""A version's figures as a person reads them: a line of text, and a small curve of the last minute. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from jupyter_tfserve.engine.client_figures import FigurePoint, VersionFigures

WIDTH: Final = 90
HEIGHT: Final = 18
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_AGES: Final = ((86_400, "d"), (3600, "h"), (60, "min"))


def figures_line(figures: VersionFigures, now: float) -> str:
    """`12.5 requests/s, p50 0.41 ms, p99 1.2 ms, batch size 5.2 (at most 64), 0 waiting, on CPU, 24 MB memory,
    1.2 MB on disk, up 3 min`. `now` is unix time.
    """
    return ", ".join(_parts(figures, now))


def figures_html(figures: VersionFigures, now: float) -> str:
    """The same beside its curve, if there is anything to draw."""
    return f"{sparkline(figures.history)}{escape(figures_line(figures, now))}"


def sparkline(history: Sequence[FigurePoint]) -> str:
    """The requests of each second as an SVG curve, with its text for those who do not see it."""
    rates = [point.requests_per_second for point in history]
    highest = max(rates, default=0.0)
    if len(rates) < 2 or not highest:
        return ""
    step = WIDTH / (len(rates) - 1)
    points = " ".join(
        f"{index * step:.1f},{HEIGHT - 1 - (HEIGHT - 2) * rate / highest:.1f}"
        for index, rate in enumerate(rates)
    )
    label = f"Requests a second in the last {len(rates)} s, {show_rate(highest)} at most"
    return (
        f"<svg role='img' aria-label='{escape(label, quote=True)}' width='{WIDTH}' height='{HEIGHT}' "
        f"viewBox='0 0 {WIDTH} {HEIGHT}' style='vertical-align:middle;margin-right:6px'>"
        f"<polyline points='{points}' fill='none' stroke='currentColor' stroke-width='1.2'/></svg>"
    )


def show_rate(rate: float) -> str:
    """Three digits at most, thousands grouped."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def show_ms(milliseconds: float) -> str:
    """A duration of any size in the unit that fits."""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.3g} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"


def show_bytes(size: int) -> str:
    """Decimal units, as file managers have them."""
    amount = float(size)
    for unit in _UNITS:
        if amount < 999.5 or unit == _UNITS[-1]:
            break
        amount /= 1000
    return f"{amount:.2g} {unit}" if amount < 10 else f"{amount:.0f} {unit}"


def show_age(seconds: float) -> str:
    """The largest unit that fits, whole."""
    for size, unit in _AGES:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 0)} s"


def show_batches(figures: VersionFigures) -> str:
    """`batch size 5.2 (at most 64)`; empty where none ran."""
    if figures.rows_per_batch is None:
        return ""
    most = "" if figures.batch_rows is None else f" (at most {figures.batch_rows})"
    return f"batch size {show_rate(figures.rows_per_batch)}{most}"


def show_devices(devices: Sequence[str]) -> str:
    """`CPU`, `GPU:0`, or of several processes `2 x CPU`, `GPU:0, GPU:1`."""
    counts = Counter(devices)
    places = (device if count == 1 else f"{count} x {device}" for device, count in sorted(counts.items()))
    return ", ".join(places)


def _parts(figures: VersionFigures, now: float) -> Iterator[str]:
    yield from _traffic(figures)
    yield from _batching(figures)
    if figures.devices:
        yield f"on {show_devices(figures.devices)}"
    if figures.memory_bytes is not None:
        yield f"{show_bytes(figures.memory_bytes)} memory"
    if figures.disk_bytes is not None:
        yield f"{show_bytes(figures.disk_bytes)} on disk"
    if figures.available_since is not None:
        yield f"up {show_age(now - figures.available_since)}"


def _traffic(figures: VersionFigures) -> Iterator[str]:
    if figures.requests == 0:
        yield "no requests yet"
    else:
        yield f"{show_rate(figures.requests_per_second)} requests/s"
    if figures.errors_per_second:
        yield f"{show_rate(figures.errors_per_second)} errors/s"
    if figures.p50_ms is not None and figures.p99_ms is not None:
        yield f"p50 {show_ms(figures.p50_ms)}"
        yield f"p99 {show_ms(figures.p99_ms)}"


def _batching(figures: VersionFigures) -> Iterator[str]:
    batches = show_batches(figures)
    if batches:
        yield batches
    if batches or figures.waiting:
        yield f"{figures.waiting} waiting"
