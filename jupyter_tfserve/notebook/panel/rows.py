"""The panel's table of versions: the engine's state, its figures and the model's folder, row by row. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from jupyter_tfserve.engine.client_figures import VersionFigures
from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.notebook.figure_view import show_age, show_bytes, show_devices, show_ms, show_rate
from jupyter_tfserve.notebook.panel.snapshot import Snapshot
from jupyter_tfserve.notebook.views import describe_change, version_view

NOT_SERVED: Final = "not served"
FAILED_HINT: Final = "Save it again as a new version; the log says more."
MAX_ROWS: Final = 30
"""A folder may hold thousands of versions."""


@dataclass(frozen=True, slots=True)
class Row:
    """One version, as text. `error` is why it does not serve, if it has failed."""

    version: int
    state: str
    labels: tuple[str, ...] = ()
    error: str = ""
    size: str = ""
    memory: str = ""
    rate: str = ""
    p99: str = ""
    age: str = ""
    device: str = ""
    batch: str = ""
    waiting: str = ""
    change: str = ""
    """How long it has been loading or unloading, and why an earlier attempt to load it failed."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The newest versions, and how many older ones are left out."""

    rows: tuple[Row, ...]
    left_out: int = 0


def version_rows(model: ModelState, snapshot: Snapshot) -> Rows:
    """The versions of `model`, the newest first. What the engine knows is shown before what only lies in the folder."""
    known = {item.version for item in model.versions}
    only_folder = sorted(set(snapshot.in_folder.get(model.name, ())) - known, reverse=True)
    numbers = [*sorted(known, reverse=True), *only_folder]
    shown = sorted(numbers[:MAX_ROWS], reverse=True)
    return Rows(tuple(_row(model, number, snapshot) for number in shown), max(len(numbers) - MAX_ROWS, 0))


def _row(model: ModelState, number: int, snapshot: Snapshot) -> Row:
    item = next((item for item in model.versions if item.version == number), None)
    if item is None:
        return Row(number, NOT_SERVED, _labels(model, number))
    seen = version_view(model.name, item, dict(sorted(model.labels.items())))
    figures = snapshot.figures.version(model.name, number)
    row = Row(number, item.state, seen.labels, seen.error, *_figure_cells(figures, snapshot.time))
    return replace(row, change=describe_change(seen, snapshot.time))


def _figure_cells(figures: VersionFigures | None, now: float) -> tuple[str, ...]:
    """From the size to the requests that wait; empty where nobody knows."""
    if figures is None:
        return ()
    since = figures.available_since
    return (
        "" if figures.disk_bytes is None else show_bytes(figures.disk_bytes),
        "" if figures.memory_bytes is None else show_bytes(figures.memory_bytes),
        show_rate(figures.requests_per_second),
        "" if figures.p99_ms is None else show_ms(figures.p99_ms),
        "" if since is None else show_age(now - since),
        show_devices(figures.devices),
        _batch_cell(figures),
        str(figures.waiting),
    )


def _batch_cell(figures: VersionFigures) -> str:
    """`5.2 of 64`: the rows of a batch in the last minute, and the most that one may have now."""
    if figures.rows_per_batch is None:
        return ""
    most = "" if figures.batch_rows is None else f" of {figures.batch_rows}"
    return f"{show_rate(figures.rows_per_batch)}{most}"


def _labels(model: ModelState, number: int) -> tuple[str, ...]:
    return tuple(sorted(label for label, version in model.labels.items() if version == number))
