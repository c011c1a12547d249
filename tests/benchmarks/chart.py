"""Charts of a run: for each workload a bar for everything that took part, on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import Sample, spread
from tests.benchmarks.side_by_side import Findings
from tests.benchmarks.targets import OURS
from tests.benchmarks.workloads import WORKLOADS

_OURS, _LIMIT, _PEER = "#d9730d", "#b8b8b8", "#4a78a6"
_COLUMNS = 2
_BUSY = 64
"""A panel has the connections that everybody was asked with, else the largest number up to this one."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What the bars are long by."""

    title: str
    value: Callable[[Sample], float]


RATE = Measure("requests/s", lambda turn: turn.per_s)
CPU = Measure("processor time of an answer, µs", lambda turn: turn.cpu_us)


def draw(findings: Findings, peers: frozenset[str], file: Path, measure: Measure = RATE) -> None:
    """Writes an SVG, if there is anything that peers are asked too."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = list(_panels(findings, measure).items())
    if not panels:
        return
    rows = math.ceil(len(panels) / _COLUMNS)
    # Letters as text: a tenth of the size, and a reader can search in it.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmark"}):
        figure = Figure(figsize=(12, 2.6 * rows + 0.4), layout="constrained")
        axes = figure.subplots(rows, min(_COLUMNS, len(panels)), squeeze=False).ravel()
        for ax, (title, bars) in zip(axes, panels, strict=False):
            colours = [_OURS if name == OURS else _PEER if name in peers else _LIMIT for _, name in bars]
            drawn = ax.barh([name for _, name in bars], [value for value, _ in bars], color=colours)
            ax.bar_label(drawn, [_figure(value) for value, _ in bars], padding=3, fontsize=8)
            ax.set_xscale("log")
            # From a power of ten below the shortest bar: what is nearly alike must look so.
            left, longest = 10 ** math.floor(math.log10(bars[0][0] / 2)), bars[-1][0]
            ax.set_xlim(left, longest * (longest / left) ** 0.2)
            ax.minorticks_off()
            ax.set_title(f"{title}, {measure.title}", fontsize=10)
            ax.tick_params(labelsize=8)
            ax.spines[["top", "right"]].set_visible(False)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        figure.savefig(
            file, metadata={"Date": None, "Title": f"jupyter_tfserve beside others: {measure.title}"}
        )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _panels(findings: Findings, measure: Measure) -> dict[str, list[tuple[float, str]]]:
    panels: dict[str, list[tuple[float, str]]] = {}
    for workload in WORKLOADS:
        if workload.rate or not workload.peer_connections:
            continue
        results = [one for one in findings.results if one.workload == workload.name]
        shared = [
            count for count in workload.peer_connections if any(one.connections == count for one in results)
        ]
        others = [one.connections for one in results if one.connections <= _BUSY]
        busiest = max(shared or others, default=0)
        bars = [
            (spread([measure.value(turn) for turn in one.samples]).median, one.target)
            for one in results
            if one.connections == busiest
        ]
        if shown := sorted(bar for bar in bars if bar[0] > 0):
            panels[f"{workload.title} ({busiest})"] = shown
    return panels
