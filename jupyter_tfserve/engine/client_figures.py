"""What an engine says about its versions' traffic, as values: `GET /control/figures` on the client's side. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FigurePoint:
    """One second that is over; `time` is its end in seconds since the epoch."""

    time: float
    requests_per_second: float
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """One version. Rates and percentiles are of the last minute, `requests` counts since it is available.

    Failed requests count in `requests` and `requests_per_second` too. None is what is not known, or a percentile
    of nothing. `memory_bytes` is what only the version's worker holds. `devices`: one for each of its processes.
    `rows_per_batch` is the mean of the last minute, `batch_rows` what a batch may have now, `waiting` the requests
    that wait for a process now.
    """

    requests: int = 0
    requests_per_second: float = 0.0
    errors_per_second: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    available_since: float | None = None
    history: tuple[FigurePoint, ...] = ()
    devices: tuple[str, ...] = ()
    rows_per_batch: float | None = None
    batch_rows: int | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """The versions that serve, by model and number."""

    window_s: float
    models: Mapping[str, Mapping[int, VersionFigures]]

    def version(self, model: str, version: int) -> VersionFigures | None:
        """One version's; None for one that does not serve."""
        return self.models.get(model, {}).get(version)


def parse_figures(document: Mapping[str, Any]) -> Figures:
    """The control API's document as values."""
    models = {
        name: {int(version): _parse_version(figures) for version, figures in versions.items()}
        for name, versions in document["models"].items()
    }
    return Figures(document["window_s"], models)


def _parse_version(document: Mapping[str, Any]) -> VersionFigures:
    known = {name: document[name] for name in VersionFigures.__dataclass_fields__ if name in document}
    known["devices"] = tuple(document.get("devices", ()))
    points = document.get("history", ())
    known["history"] = tuple(
        FigurePoint(point["time"], point["requests_per_second"], point["p99_ms"]) for point in points
    )
    return VersionFigures(**known)
