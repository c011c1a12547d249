"""A comparison for reading: metrics and worst rows as text and tables, scatter and latencies as a figure."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_tfserve.notebook.answer_table import show_value
from jupyter_tfserve.notebook.figures import BLUE, GREY, ORANGE, image_html, new_figure

if TYPE_CHECKING:
    from jupyter_tfserve.notebook.comparison import Comparison, Side

_LEFT = "style='text-align:left'"


def comparison_text(comparison: Comparison) -> str:
    """The summary as lines."""
    lines = [_headline(comparison)]
    for side in (comparison.a, comparison.b):
        figures = ", ".join(f"{name} {text}" for name, text in _figures(side))
        lines.append(f"  {side.target}: {figures}")
    if comparison.worst:
        lines.append("Rows that differ most:")
        lines += [f"  {' | '.join(cells)}" for cells in _worst_rows(comparison)]
    return "\n".join(lines)


def comparison_html(comparison: Comparison) -> str:
    """The summary as tables, with the figure."""
    names = [name for name, _ in _figures(comparison.a)]
    rows = [[side.target, *(text for _, text in _figures(side))] for side in (comparison.a, comparison.b)]
    parts = [f"<p><strong>{escape(_headline(comparison))}</strong></p>", _table(["", *names], rows)]
    if comparison.rows:
        parts.append(image_html(draw(comparison), _headline(comparison)))
    if comparison.worst:
        heads = ["row", comparison.a.target, comparison.b.target, "difference"]
        heads += [] if comparison.truth is None else ["true"]
        parts += ["<p>Rows that differ most</p>", _table(heads, list(_worst_rows(comparison)))]
    return f"<div>{''.join(parts)}</div>"


def draw(comparison: Comparison) -> Any:
    """The figure: the answers of one over those of the other, and both latencies."""
    figure, (scatter, latency) = new_figure(2)
    _draw_scatter(scatter, comparison)
    _draw_latencies(latency, comparison)
    return figure


def _draw_scatter(axis: Any, comparison: Comparison) -> None:
    x, y = (_plotted(side, comparison.is_of_classes) for side in (comparison.a, comparison.b))
    differs = np.zeros(len(x), bool)
    if comparison.is_of_classes:
        differs = np.asarray(comparison.a.choices != comparison.b.choices, bool)
    axis.scatter(x[~differs], y[~differs], s=10, color=BLUE, alpha=0.5, label="same class")
    axis.scatter(x[differs], y[differs], s=14, color=ORANGE, label="other class", marker="x")
    finite = np.concatenate([x, y])
    finite = finite[np.isfinite(finite)]
    if finite.size:
        ends = [finite.min(), finite.max()]
        axis.plot(ends, ends, color=GREY, linewidth=1, zorder=0)
    word = "largest score" if comparison.is_of_classes else "answer"
    axis.set_xlabel(f"{word} of {comparison.a.target}", parse_math=False)
    axis.set_ylabel(f"{word} of {comparison.b.target}", parse_math=False)
    if differs.any():
        axis.legend(frameon=False)


def _plotted(side: Side, are_classes: bool) -> Any:
    if not are_classes:
        return side.answers.astype(np.float64).ravel()
    if side.answers.dtype.kind in "fiu":
        return side.answers.astype(np.float64).reshape(len(side.answers), -1).max(axis=1)
    # Texts have places only: the order in which they come.
    return np.unique(side.choices.astype(str), return_inverse=True)[1].astype(np.float64)


def _draw_latencies(axis: Any, comparison: Comparison) -> None:
    both = np.concatenate([comparison.a.latencies_ms, comparison.b.latencies_ms])
    if not both.size:
        return
    # The slowest few would press all others into one bar.
    bins = np.linspace(0, max(np.percentile(both, 98) * 1.2, 1e-3), 30)
    for side, colour in ((comparison.a, BLUE), (comparison.b, ORANGE)):
        axis.hist(side.latencies_ms, bins, color=colour, alpha=0.6, label=side.target.replace("$", r"\$"))
    axis.set_xlabel("milliseconds for one row")
    axis.set_ylabel("requests")
    axis.legend(frameon=False)


def _headline(comparison: Comparison) -> str:
    rows = f"{comparison.rows} row{'' if comparison.rows == 1 else 's'}"
    what = "name the same class" if comparison.is_of_classes else "agree within 1 % of the range"
    a, b = comparison.a.target, comparison.b.target
    return f"{a} and {b}: {comparison.agreement:.1%} of {rows} {what}"


def _figures(side: Side) -> Iterator[tuple[str, str]]:
    for name, score in side.scores.items():
        yield name, f"{score:.1%}" if name == "accuracy" else f"{score:.4g}"
    if len(side.latencies_ms):
        yield "median", f"{np.percentile(side.latencies_ms, 50):.2f} ms"
        yield "p99", f"{np.percentile(side.latencies_ms, 99):.2f} ms"


def _worst_rows(comparison: Comparison) -> Iterator[list[str]]:
    for item in comparison.worst:
        cells = [str(item.row), show_value(item.a), show_value(item.b), f"{item.difference:.4g}"]
        yield cells if comparison.truth is None else [*cells, show_value(item.truth)]


def _table(heads: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th {_LEFT}>{escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td {_LEFT}>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
