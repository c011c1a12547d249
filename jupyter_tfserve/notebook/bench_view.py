"""A benchmark for reading: a table of its phases, a latency histogram and the curve over the offered rate."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from jupyter_tfserve.notebook.figures import BLUE, GREY, ORANGE, image_html, new_figure

if TYPE_CHECKING:
    from jupyter_tfserve.notebook.bench import Bench, Load

HEADS: Final = ("load", "answers/s", "p50 ms", "p90 ms", "p99 ms", "errors")
_LEFT: Final = "style='text-align:left'"
_RIGHT: Final = "style='text-align:right'"


def bench_text(bench: Bench) -> str:
    """The table as text, in columns."""
    rows = [HEADS, *_rows(bench)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = (
        "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    )
    return "\n".join([_headline(bench), *lines])


def bench_html(bench: Bench) -> str:
    """The table and the figure."""
    head = "".join(f"<th {_RIGHT if index else _LEFT}>{name}</th>" for index, name in enumerate(HEADS))
    body = "".join(
        "<tr>"
        + "".join(f"<td {_RIGHT if index else _LEFT}>{escape(c)}</td>" for index, c in enumerate(row))
        + "</tr>"
        for row in _rows(bench)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    image = image_html(draw(bench), _headline(bench))
    return f"<div><p><strong>{escape(_headline(bench))}</strong></p>{table}{image}</div>"


def draw(bench: Bench) -> Any:
    """The figure: latencies of single requests, and latencies over the offered rate."""
    figure, (histogram, curve) = new_figure(2)
    _draw_histogram(histogram, bench)
    _draw_curve(curve, bench)
    return figure


def _draw_histogram(axis: Any, bench: Bench) -> None:
    shown = [
        (load, _name(load), colour) for load, colour in zip(bench.closed[:2], (BLUE, GREY), strict=False)
    ]
    if bench.direct is not None:
        shown.append((bench.direct, "TensorFlow in this kernel", ORANGE))
    latencies = [load.latencies_ms for load, _, _ in shown if len(load.latencies_ms)]
    if not latencies:
        return
    # Latencies spread over orders of magnitude: equal steps of the exponent.
    low = max(min(float(values.min()) for values in latencies), 1e-3)
    high = max(float(np.percentile(values, 99.5)) for values in latencies)
    bins = np.geomspace(low * 0.9, max(high, low * 1.01) * 1.1, 40)
    for load, name, colour in shown:
        weights = np.full(len(load.latencies_ms), 100 / max(len(load.latencies_ms), 1))
        axis.hist(load.latencies_ms, bins, weights=weights, color=colour, alpha=0.6, label=name)
    axis.set_xscale("log")
    axis.set_xlabel("milliseconds")
    axis.set_ylabel("% of requests")
    axis.legend(frameon=False, fontsize="small")


def _draw_curve(axis: Any, bench: Bench) -> None:
    loads = [load for load in bench.opened if load.answers]
    if not loads:
        return
    rates = [load.rate for load in loads]
    for share, colour in ((50, BLUE), (99, ORANGE)):
        latencies = [load.percentile(share) for load in loads]
        axis.plot(rates, latencies, marker="o", color=colour, label=f"p{share}")
    axis.axvline(bench.best_throughput, color=GREY, linestyle="--", label="most, closed loop")
    axis.set_yscale("log")
    axis.set_xlim(left=0)
    # Rates have many digits: more ticks would run into each other.
    axis.locator_params(axis="x", nbins=5)
    axis.set_xlabel("requests offered per second")
    axis.set_ylabel("milliseconds")
    axis.legend(frameon=False, fontsize="small")


def _headline(bench: Bench) -> str:
    rows = f"{bench.rows} row{'' if bench.rows == 1 else 's'} a request"
    return f"{bench.target}: up to {bench.best_throughput:.0f} answers a second, {rows}"


def _rows(bench: Bench) -> Iterator[tuple[str, ...]]:
    for load in (*bench.closed, *bench.opened):
        yield _row(_name(load), load)
    if bench.direct is not None:
        yield _row("TensorFlow in this kernel", bench.direct)


def _row(name: str, load: Load) -> tuple[str, ...]:
    latencies = (f"{load.percentile(share):.2f}" for share in (50, 90, 99))
    return (name, f"{load.throughput:.0f}", *latencies, str(load.errors))


def _name(load: Load) -> str:
    if load.rate is not None:
        return f"{load.rate:.0f} a second"
    return f"{load.connections} connection{'s' if load.connections > 1 else ''}"
