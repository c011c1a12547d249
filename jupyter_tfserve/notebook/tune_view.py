"""A tuning for reading: a table of its settings, what is recommended, and throughput against latency."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from jupyter_tfserve.notebook.batching import describe_settings
from jupyter_tfserve.notebook.figures import BLUE, GREY, ORANGE, image_html, new_figure

if TYPE_CHECKING:
    from jupyter_tfserve.notebook.tune import Tuning

_LEFT: Final = "style='text-align:left'"
_RIGHT: Final = "style='text-align:right'"


def tuning_text(tuning: Tuning) -> str:
    """The table as text, in columns, and the recommendation."""
    rows = [_heads(tuning), *_rows(tuning)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    )
    return "\n".join([*lines, recommendation(tuning)])


def tuning_html(tuning: Tuning) -> str:
    """The table, the recommendation and the figure."""
    heads, *rows = [_heads(tuning), *_rows(tuning)]
    head = "".join(f"<th {_RIGHT if index else _LEFT}>{name}</th>" for index, name in enumerate(heads))
    body = "".join(
        "<tr>"
        + "".join(f"<td {_RIGHT if index else _LEFT}>{escape(c)}</td>" for index, c in enumerate(row))
        + "</tr>"
        for row in rows
    )
    said = recommendation(tuning)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div>{table}<p><strong>{escape(said)}</strong></p>{image_html(draw(tuning), said)}</div>"


def recommendation(tuning: Tuning) -> str:
    """One sentence: which settings, why, and how to have them."""
    best = tuning.best
    words = describe_settings(best.settings)
    how = (
        "They hold now."
        if tuning.is_applied
        else f"`%tfserve tune` with --apply keeps them; by hand: {words}."
    )
    figures = f"p99 {best.p99_ms:.1f} ms at {tuning.rate:.0f} a second, up to {best.throughput:.0f} a second"
    if tuning.is_met:
        return f"Best: {best.name} ({figures}). {how}"
    goal = "that rate" if tuning.p99_ms is None else f"p99 within {tuning.p99_ms:g} ms at that rate"
    return f"Nothing kept {goal}; nearest: {best.name} ({figures}). {how}"


def draw(tuning: Tuning) -> Any:
    """The figure: each setting's throughput, and its latency at the wanted rate."""
    figure, (axis,) = new_figure(1)
    best = tuning.best
    for trial in tuning.trials:
        if np.isnan(trial.p99_ms):
            continue
        colour = ORANGE if trial is best else BLUE
        axis.plot(trial.throughput, trial.p99_ms, "o", color=colour)
        axis.annotate(
            trial.name,
            (trial.throughput, trial.p99_ms),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize="x-small",
        )
    if tuning.p99_ms is not None:
        axis.axhline(tuning.p99_ms, color=GREY, linestyle="--", label="goal")
        axis.legend(frameon=False, fontsize="small")
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("most answers per second")
    axis.set_ylabel(f"p99 in ms at {tuning.rate:.0f} a second")
    return figure


def _heads(tuning: Tuning) -> tuple[str, ...]:
    rate = f"at {tuning.rate:.0f}/s"
    return (
        f"{tuning.target}: batching",
        "most answers/s",
        f"p50 ms {rate}",
        f"p99 ms {rate}",
        "errors",
        "goal",
    )


def _rows(tuning: Tuning) -> Iterator[tuple[str, ...]]:
    for trial in tuning.trials:
        latencies = (f"{trial.opened.percentile(share):.1f}" for share in (50, 99))
        errors = str(trial.closed.errors + trial.opened.errors)
        is_kept = "kept" if trial.carries(tuning.rate, tuning.p99_ms) else "missed"
        yield (trial.name, f"{trial.throughput:.0f}", *latencies, errors, is_kept)
