"""Our own metrics: what each version and the engine itself are doing at the moment that somebody looks.

Nothing here is on a request's way; all is read off when the page is asked for, beside TensorFlow Serving's
metrics (`dataplane.metrics`), under a prefix of our own and in Prometheus's own custom.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psutil

from jupyter_tfserve._version import __version__
from jupyter_tfserve.dataplane.metrics import Metric, MetricKind, Metrics
from jupyter_tfserve.dataplane.metrics_cells import Labels
from jupyter_tfserve.dataplane.metrics_text import metrics_page
from jupyter_tfserve.engine.version_runtime import VersionRuntime
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.serving_map import ServedVersion

PREFIX: Final = "jupyter_tfserve_"
LAG_INTERVAL_S: Final = 0.25
LAG_WINDOW: Final = 60
"""So many intervals back the largest lag is remembered: 15 s, the usual pause between two scrapes."""


class LoopLag:
    """How late the event loop is, at worst in the last 15 seconds: what every request may have waited."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Measures from now on, on the running loop."""
        loop = asyncio.get_running_loop()
        due = loop.time() + LAG_INTERVAL_S
        self._timer = loop.call_at(due, self._look, due)

    def stop(self) -> None:
        """Measures no more."""
        if self._timer is not None:
            self._timer.cancel()

    def worst_s(self) -> float:
        """The largest lag."""
        return max(self._lags, default=0.0)

    def _look(self, due: float) -> None:
        lag = max(asyncio.get_running_loop().time() - due, 0.0)
        self._lags = [*self._lags[-LAG_WINDOW + 1 :], lag]
        self.start()


@dataclass(frozen=True, slots=True)
class _Gauge:
    """A number of each version."""

    name: str
    help: str
    value: Callable[[ServedVersion[VersionRuntime]], float | None]
    kind: MetricKind = MetricKind.GAUGE


def _statistic(name: str) -> Callable[[ServedVersion[VersionRuntime]], float]:
    return lambda served: int(getattr(served.loader.statistics(), name))


_COUNTER: Final = MetricKind.COUNTER
_GAUGES: Final = (
    _Gauge("requests_in_flight", "Requests that hold the version now", lambda served: served.in_flight),
    _Gauge("queue_tasks", "Requests that wait for a lane", _statistic("waiting_tasks")),
    _Gauge("queue_rows", "Rows of the requests that wait for a lane", _statistic("waiting_rows")),
    _Gauge("lanes", "Batches that the version can run at once", _statistic("lanes")),
    _Gauge("lanes_busy", "Batches that the version runs now", _statistic("busy_lanes")),
    _Gauge("batches_total", "Batches run", _statistic("batches"), _COUNTER),
    _Gauge("batched_requests_total", "Requests in the batches run", _statistic("tasks"), _COUNTER),
    _Gauge("batched_rows_total", "Rows in the batches run", _statistic("rows"), _COUNTER),
    _Gauge("padding_rows_total", "Rows computed for nobody", _statistic("padding_rows"), _COUNTER),
    _Gauge(
        "overruns_total", "Batches not over at their callers' deadlines", _statistic("overruns"), _COUNTER
    ),
    _Gauge(
        "worker_restarts_total",
        "Deaths of the version's processes",
        lambda served: served.loader.restarts,
        _COUNTER,
    ),
    _Gauge(
        "worker_resident_memory_bytes",
        "Memory of the version's processes, what they share with others included",
        lambda served: _sum(_resident_bytes(worker.pid) for worker in served.loader.workers),
    ),
    _Gauge("replicas", "Processes that serve the version", lambda served: len(served.loader.workers)),
)


class EngineMetrics:
    """The whole page of an engine. `connections` counts the open ones by port."""

    def __init__(
        self,
        metrics: Metrics,
        core: ServerCore[VersionRuntime],
        connections: Callable[[], Mapping[str, int]],
    ) -> None:
        self._metrics = metrics
        self._core = core
        self._connections = connections
        self._lag = LoopLag()

    def start(self) -> None:
        """Measures the event loop from now on."""
        self._lag.start()

    def stop(self) -> None:
        """Measures no more."""
        self._lag.stop()

    def page(self) -> bytes:
        """TensorFlow Serving's metrics and ours, as Prometheus reads them."""
        return metrics_page([*self._metrics.collect(), *self._engine(), *self._versions()])

    def _engine(self) -> Iterator[Metric]:
        states: dict[Labels, float] = {
            (model.config.name, str(status.version), status.state.name): 1
            for model in self._core.states()
            for status in model.versions
        }
        ports: dict[Labels, float] = {(port,): count for port, count in self._connections().items()}
        resident = _resident_bytes(os.getpid()) or 0
        yield _gauge("build_info", "The engine's version", ("version",), {(__version__,): 1})
        yield _gauge("version_state", "The state of each version", ("model", "version", "state"), states)
        yield _gauge("open_connections", "Open HTTP connections", ("port",), ports)
        yield _gauge("engine_resident_memory_bytes", "Memory of the engine's process", (), {(): resident})
        lag = self._lag.worst_s()
        yield _gauge("event_loop_lag_seconds", "The event loop's largest lag in 15 s", (), {(): lag})

    def _versions(self) -> Iterator[Metric]:
        served = [
            version
            for routes in self._core.serving_map.models.values()
            for version in routes.versions.values()
        ]
        for gauge in _GAUGES:
            cells: dict[Labels, Any] = {}
            for version in served:
                value = gauge.value(version)
                if value is not None:
                    cells[version.id.name, str(version.id.version)] = value
            yield Metric(PREFIX + gauge.name, gauge.kind, ("model", "version"), cells, gauge.help)


def _gauge(name: str, text: str, labels: Labels, cells: Mapping[Labels, float]) -> Metric:
    return Metric(PREFIX + name, MetricKind.GAUGE, labels, cells, text)


def _sum(numbers: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None if none is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _resident_bytes(pid: int) -> int | None:
    """The resident memory of a process; None for one that is gone, and where it cannot be read."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.Error, OSError):
        return None
