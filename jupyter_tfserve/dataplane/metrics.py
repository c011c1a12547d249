"""What the server counts, under TensorFlow Serving's names, so that its dashboards and alerts work here.

Recorded by the request path, the batcher and the loaders, all on the event loop: a few additions, no locks.
`metrics_text` writes it down.
"""

from __future__ import annotations

import asyncio
import enum
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any, Final, TypeAlias

from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.dataplane.metrics_cells import (
    BATCH_SIZE_LIMITS,
    EXAMPLE_LIMITS,
    LATENCY_LIMITS,
    MAX_CELLS,
    QUEUING_LIMITS,
    Counters,
    FailureCounts,
    Histogram,
    Histograms,
    Labels,
)
from jupyter_tfserve.dataplane.traffic import TRAFFIC_LIMITS, Traffic
from jupyter_tfserve.errors import Code, ServingError

PREFIX: Final = "/tensorflow/serving/"
Sample: TypeAlias = "float | Histogram"


class MetricKind(enum.Enum):
    """The kinds of metric, by the words of the exposition format."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it stands: its cells by their label values, in the order of `label_names`."""

    name: str
    kind: MetricKind
    label_names: Labels
    cells: Mapping[Labels, Sample]
    help: str = ""


def _no_model(model: str) -> bool:
    return False


class RequestMetrics:
    """What one protocol's requests came to. `entrypoint` is GRPC or REST; `is_served` knows the models' names.

    A model that has answered is known by that, so a process that has no list of models needs no `is_served`.
    """

    def __init__(self, entrypoint: str, is_served: Callable[[str], bool] = _no_model) -> None:
        self.entrypoint = entrypoint
        self._is_served = is_served
        self._have_answered: set[str] = set()
        self.failures = FailureCounts(self._is_known)
        self._answered: dict[tuple[str, str], tuple[Histogram, Histogram]] = {}

    def succeeded(
        self, model: str, api: str, began: float, run_s: float = 0, traffic: Traffic | None = None
    ) -> None:
        """Counts an answer to what was asked at `began`, by `time.perf_counter`. `run_s`: the model's part.

        `traffic` is that of the version that answered.

        REQUIRES: `model` is one that we have, or empty.
        """
        # On every request's way, so written out: a method call for each sample would double its cost.
        cells = self._answered.get((model, api))
        if cells is None:
            cells = self._answered[model, api] = (Histogram(LATENCY_LIMITS), Histogram(LATENCY_LIMITS))
            self._have_answered.add(model)
        latency, runtime = cells
        micros = (perf_counter() - began) * 1e6
        latency.counts[bisect_right(LATENCY_LIMITS, micros)] += 1
        latency.sum += micros
        if traffic is not None:
            traffic.counts[bisect_right(TRAFFIC_LIMITS, micros)] += 1
        if run_s:
            micros = run_s * 1e6
            runtime.counts[bisect_right(LATENCY_LIMITS, micros)] += 1
            runtime.sum += micros

    def failed(self, model: str, error: BaseException) -> None:
        """Counts an answer that was an error, or that nobody waits for; `model` may be any text."""
        self.failures.add(model, _code(error).name)

    def take(self) -> dict[str, list[Any]]:
        """All that was counted since the last time, as JSON for `include` in another process; counts from zero again."""
        answered = [
            [*names, [[cell.counts, cell.sum] for cell in cells]] for names, cells in self._answered.items()
        ]
        failures = [[*labels, count] for labels, count in self.failures.items().items()]
        self._answered.clear()
        self.failures = FailureCounts(self._is_known)
        return {"answered": answered, "failures": failures}

    def include(self, taken: Mapping[str, list[Any]]) -> None:
        """Counts what another process has counted."""
        for model, api, pairs in taken["answered"]:
            self._have_answered.add(model)
            cells = self._answered.setdefault(
                (model, api), (Histogram(LATENCY_LIMITS), Histogram(LATENCY_LIMITS))
            )
            for cell, (counts, total) in zip(cells, pairs, strict=True):
                cell.counts = [one + two for one, two in zip(cell.counts, counts, strict=True)]
                cell.sum += total
        for model, status, count in taken["failures"]:
            self.failures.add(model, status, count=count)

    def _is_known(self, model: str) -> bool:
        return model in self._have_answered or self._is_served(model)

    def timed(self, model: str, api: str) -> RequestTimer:
        """Counts and times what happens in its block; `run_s` and `traffic` are to be set on it."""
        return RequestTimer(self, model, api)

    def answered(self) -> Iterator[tuple[str, str, Histogram, Histogram]]:
        """(model, API, latency, runtime) of everything that succeeded."""
        for (model, api), (latency, runtime) in self._answered.items():
            yield model, api, latency, runtime


class RequestTimer:
    """One request from the block's begin to its end, however that comes.

    `run_s`: the model's part of it; `traffic`: that of the version that answered.
    """

    __slots__ = ("_api", "_began", "_metrics", "_model", "run_s", "traffic")

    def __init__(self, metrics: RequestMetrics, model: str, api: str) -> None:
        self._metrics = metrics
        self._model = model
        self._api = api
        self._began = perf_counter()
        self.run_s = 0.0
        self.traffic: Traffic | None = None

    def __enter__(self) -> RequestTimer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._metrics.succeeded(self._model, self._api, self._began, self.run_s, self.traffic)
        else:
            self._metrics.failed(self._model, error)


class BatchingMetrics:
    """What the batch schedulers of all versions do, as upstream's batching session tells it."""

    def __init__(self) -> None:
        self.queuing_latency = Histogram(QUEUING_LIMITS)
        self.input_batch_size = Histogram(BATCH_SIZE_LIMITS)
        self.processed_batch_size = Histogram(BATCH_SIZE_LIMITS)
        self.padding_size = Histograms(BATCH_SIZE_LIMITS)
        self._padding: dict[int, Histogram] = {}

    def dequeued(self, tasks: Sequence[BatchTask], now: float) -> None:
        """Counts a batch's tasks and their input tensors; those without rows are none of a batch's."""
        queuing, sizes = self.queuing_latency, self.input_batch_size
        for task in tasks:
            rows = task.rows
            if rows:
                micros = (now - task.enqueued) * 1e6
                queuing.counts[bisect_right(QUEUING_LIMITS, micros)] += 1
                queuing.sum += micros
                inputs = len(task.inputs)
                sizes.counts[bisect_right(BATCH_SIZE_LIMITS, rows)] += inputs
                sizes.sum += rows * inputs

    def ran(self, rows: int, executed_rows: int) -> None:
        """Counts a batch of `rows`, padded to `executed_rows`."""
        processed, padded = self.processed_batch_size, executed_rows - rows
        processed.counts[bisect_right(BATCH_SIZE_LIMITS, executed_rows)] += 1
        processed.sum += executed_rows
        padding = self._padding.get(executed_rows)
        if padding is None:
            padding = self.padding_size.cell(str(executed_rows))
            if len(self._padding) < MAX_CELLS:
                self._padding[executed_rows] = padding
        padding.counts[bisect_right(BATCH_SIZE_LIMITS, padded)] += 1
        padding.sum += padded


class Metrics:
    """All of TensorFlow Serving's metrics of one engine, whose models `is_served` knows. Belongs to its event loop."""

    def __init__(self, is_served: Callable[[str], bool] = _no_model) -> None:
        self.rest = RequestMetrics("REST", is_served)
        self.grpc = RequestMetrics("GRPC", is_served)
        self.batching = BatchingMetrics()
        self._example_counts = Histograms(EXAMPLE_LIMITS)
        self._examples = Counters()
        self._logged = Counters()
        self._warmups = Histograms(LATENCY_LIMITS)
        self._warmup_records = Counters()

    def inferred_examples(self, model: str, count: int) -> None:
        """Counts the examples of a MultiInference."""
        self._example_counts.cell(model).add(count)
        self._examples.add(model, count=count)

    def request_logged(self, model: str, code: Code) -> None:
        """Counts a sampled request's log record; `code` says whether it could be written."""
        self._logged.add(model, code.name)

    def warmed_up(self, model_path: str, error: ServingError | None, elapsed_s: float, records: int) -> None:
        """Counts a warm-up that is over: the version's folder, what ended it early, and the records read."""
        status = "OK" if error is None else str(error)
        self._warmups.cell(model_path, status).add(elapsed_s * 1e6)
        self._warmup_records.add(model_path, status, count=records)

    def first_value(self, name: str) -> int:
        """A metric's first cell, as `ReloadConfigRequest` asks for it; 0 for what is no number."""
        for metric in self.collect():
            if metric.name == name and metric.cells:
                value = metric.cells[min(metric.cells)]
                return value if isinstance(value, int) else 0
        return 0

    def collect(self) -> list[Metric]:
        """Every metric, used or not, in the order of the names."""
        batching, model, api = self.batching, "model_name", "API"
        batches = sum(batching.processed_batch_size.counts)
        latency, runtime = self._latencies()
        found = [
            _counter("request_count", (model, "status"), self._request_counts()),
            _histogram("request_latency", (model, api, "entrypoint"), latency),
            _histogram("runtime_latency", (model, api, "runtime"), runtime),
            _histogram("request_example_counts", ("model",), self._example_counts.items()),
            _counter("request_example_count_total", ("model",), self._examples.items()),
            _counter("request_log_count", (model, "status_code"), self._logged.items()),
            _histogram("model_warmup_latency", ("model_path", "status"), self._warmups.items()),
            _counter("model_warmup_records_read", ("model_path", "status"), self._warmup_records.items()),
            Metric(PREFIX + "mlmd_map", MetricKind.GAUGE, (model, "version"), {}),
            _histogram(
                "batching_session/queuing_latency", ("thread_pool_name",), {("",): batching.queuing_latency}
            ),
            _counter("batching_session/wrapped_run_count", (), {(): batches}),
            _histogram(
                "batching_session/padding_size", ("execution_batch_size",), batching.padding_size.items()
            ),
            _histogram("batching_session/input_batch_size", (), {(): batching.input_batch_size}),
            _histogram("batching_session/processed_batch_size", (), {(): batching.processed_batch_size}),
        ]
        return sorted(found, key=lambda metric: metric.name)

    def _request_counts(self) -> dict[Labels, int]:
        counts: dict[Labels, int] = {}
        for protocol in (self.rest, self.grpc):
            for name, _, latency, _ in protocol.answered():
                counts[name, "OK"] = counts.get((name, "OK"), 0) + sum(latency.counts)
            for labels, count in protocol.failures.items().items():
                counts[labels] = counts.get(labels, 0) + count
        return counts

    def _latencies(self) -> tuple[dict[Labels, Histogram], dict[Labels, Histogram]]:
        latencies: dict[Labels, Histogram] = {}
        runtimes: dict[Labels, Histogram] = {}
        for protocol in (self.rest, self.grpc):
            for name, api, latency, runtime in protocol.answered():
                latencies[name, api, protocol.entrypoint] = latency
                if any(runtime.counts):
                    # REST's `predict` and gRPC's `Predict` are the same to a model.
                    labels = (name, api.capitalize(), "TF1")
                    runtimes.setdefault(labels, Histogram(LATENCY_LIMITS)).include(runtime)
        return latencies, runtimes


def _code(error: BaseException) -> Code:
    if isinstance(error, ServingError):
        return error.code
    return Code.CANCELLED if isinstance(error, asyncio.CancelledError) else Code.INTERNAL


def _counter(name: str, label_names: Labels, cells: Mapping[Labels, int]) -> Metric:
    return Metric(PREFIX + name, MetricKind.COUNTER, label_names, cells)


def _histogram(name: str, label_names: Labels, cells: Mapping[Labels, Histogram]) -> Metric:
    return Metric(PREFIX + name, MetricKind.HISTOGRAM, label_names, cells)
