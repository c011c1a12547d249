"""matplotlib figures as images of a cell's HTML. matplotlib is imported when the first one is drawn."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any, Final

BLUE: Final = "#2f6fb0"
ORANGE: Final = "#e07b39"
GREY: Final = "#9aa5b1"


def new_figure(columns: int) -> tuple[Any, list[Any]]:
    """A figure of so many plots beside each other, apart from the user's own pyplot state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * columns, 3.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def image_html(figure: Any, alt: str) -> str:
    """The figure as an `<img>`, with a text for those who do not see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f"<img style='max-width:100%' alt='{escape(alt, quote=True)}' src='data:image/png;base64,{content}'>"
    )
