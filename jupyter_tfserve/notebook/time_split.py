"""Where the time of one question went, as a bar and as a line of text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from jupyter_tfserve.notebook.figure_view import show_ms

TOTAL: Final = "total"
CALLER: Final = "client"
"""What this kernel and the way to the server and back took."""
BAR_WIDTH: Final = 320
_COLOURS: Final[Mapping[str, str]] = {
    "decode": "#8c6bb1",
    "queue": "#e07b39",
    "batch": "#c9a227",
    "compute": "#2f6fb0",
    "encode": "#4aa391",
    CALLER: "#9aa5b1",
}


def split_stages(server: Mapping[str, float], elapsed_s: float) -> dict[str, float]:
    """Seconds by stage of the whole exchange, the caller's own part last. Empty if the server told nothing."""
    if TOTAL not in server:
        return {}
    stages = {name: seconds for name, seconds in server.items() if name != TOTAL}
    return {**stages, CALLER: max(elapsed_s - server[TOTAL], 0.0)}


def split_line(stages: Mapping[str, float]) -> str:
    """`decode 0.02 ms, queue 0.01 ms, batch 0.3 ms, compute 1.1 ms, encode 0.02 ms, client 2.7 ms`."""
    return ", ".join(f"{name} {show_ms(1000 * seconds)}" for name, seconds in stages.items())


def split_html(stages: Mapping[str, float]) -> str:
    """The bar, each stage as wide as its share, and the line with each stage's colour."""
    whole = sum(stages.values())
    if not whole:
        return ""
    parts = "".join(
        f"<span style='width:{100 * seconds / whole:.2f}%;background:{_colour(name)}'></span>"
        for name, seconds in stages.items()
    )
    line = split_line(stages)
    legend = " &nbsp; ".join(
        f"<span style='white-space:nowrap'><span aria-hidden='true' style='color:{_colour(name)}'>&#9632;</span> "
        f"{escape(name)} {show_ms(1000 * seconds)}</span>"
        for name, seconds in stages.items()
    )
    return (
        f"<div role='img' aria-label='Where the time went: {escape(line, quote=True)}' "
        f"style='display:flex;width:{BAR_WIDTH}px;max-width:100%;height:8px'>{parts}</div>"
        f"<p>{legend}</p>"
    )


def _colour(stage: str) -> str:
    return _COLOURS.get(stage, "#666666")
