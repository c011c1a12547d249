"""The chart of a run: for each workload, requests a second of everything that took part, on one logarithmic axis each."""

from __future__ import annotations

import math
from pathlib import Path

from tests.benchmarks.figures import spread
from tests.benchmarks.side_by_side import Findings
from tests.benchmarks.targets import OURS
from tests.benchmarks.workloads import WORKLOADS

_OURS, _LIMIT, _PEER = "#d9730d", "#b8b8b8", "#4a78a6"
_COLUMNS = 2


def draw(findings: Findings, peers: frozenset[str], file: Path) -> None:
    """Writes an SVG or PNG, by the file's name. REQUIRES: at least one result."""
    from matplotlib.figure import Figure

    panels = [
        (workload, max(connections for connections in workload.connections if connections <= 64))
        for workload in WORKLOADS
        if any(one.workload == workload.name for one in findings.results)
    ]
    rows = math.ceil(len(panels) / _COLUMNS)
    figure = Figure(figsize=(12, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for ax, (workload, connections) in zip(axes, panels, strict=False):
        bars = sorted(
            (spread([turn.per_s for turn in one.samples]).median, one.target)
            for one in findings.results
            if (one.workload, one.connections) == (workload.name, connections)
        )
        colours = [_OURS if name == OURS else _PEER if name in peers else _LIMIT for _, name in bars]
        drawn = ax.barh([name for _, name in bars], [rate for rate, _ in bars], color=colours)
        ax.bar_label(drawn, [f"{rate:,.0f}" for rate, _ in bars], padding=3, fontsize=7)
        ax.set_xscale("log")
        ax.margins(x=0.15)
        ax.set_title(f"{workload.title}, {connections} connections: requests/s", fontsize=9)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
