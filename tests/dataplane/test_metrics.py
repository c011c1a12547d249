"""metrics: what is counted where, under upstream's names."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from time import perf_counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.metrics import Metric, Metrics, RequestMetrics
from jupyter_tfserve.dataplane.metrics_cells import (
    BATCH_SIZE_LIMITS,
    EXAMPLE_LIMITS,
    LATENCY_LIMITS,
    MAX_CELLS,
    QUEUING_LIMITS,
    Counters,
    Histogram,
)
from jupyter_tfserve.errors import Code, ServingError, not_found

NAMES = [
    "batching_session/input_batch_size",
    "batching_session/padding_size",
    "batching_session/processed_batch_size",
    "batching_session/queuing_latency",
    "batching_session/wrapped_run_count",
    "mlmd_map",
    "model_warmup_latency",
    "model_warmup_records_read",
    "request_count",
    "request_example_count_total",
    "request_example_counts",
    "request_latency",
    "request_log_count",
    "runtime_latency",
]


def metric(metrics: Metrics, name: str) -> Metric:
    (found,) = [one for one in metrics.collect() if one.name == f"/tensorflow/serving/{name}"]
    return found


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], tuple[int, float]]:
    """(count, sum) by labels."""
    return {labels: (sum(cell.counts), cell.sum) for labels, cell in metric(metrics, name).cells.items()}


def task(rows: int, inputs: int, enqueued: float = 0.0) -> SimpleNamespace:
    """As much of a BatchTask as is counted."""
    return SimpleNamespace(rows=rows, inputs=dict.fromkeys(map(str, range(inputs))), enqueued=enqueued)


def test_every_metric_of_upstream_is_there_by_name_when_nothing_happened():
    found = Metrics().collect()
    assert [one.name.removeprefix("/tensorflow/serving/") for one in found] == NAMES


@pytest.mark.parametrize(
    ("limits", "count", "first", "last"),
    [
        (LATENCY_LIMITS, 33, "10 18 32.4 58.32 104.976 188.957", "1.47476e+09"),
        (QUEUING_LIMITS, 52, "100 120 144 172.8 207.36 248.832", "1.09205e+06"),
        (BATCH_SIZE_LIMITS, 14, "1 2 4 8 16 32", "8192"),
        (EXAMPLE_LIMITS, 15, "1 2 4 8 16 32", "16384"),
    ],
)
def test_buckets_are_upstreams(limits, count, first, last):
    shown = [f"{limit:g}" for limit in limits]
    assert len(shown) == count
    assert " ".join(shown[:6]) == first
    assert shown[-1] == last


def test_request_is_counted_and_timed_by_protocol_when_it_succeeds():
    metrics = Metrics()
    metrics.rest.succeeded("m", "predict", perf_counter() - 0.002, 0.001)
    metrics.rest.succeeded("m", "", perf_counter())
    metrics.grpc.succeeded("m", "Predict", perf_counter() - 0.004, 0.003)
    assert metric(metrics, "request_count").cells == {("m", "OK"): 3}
    latencies = samples(metrics, "request_latency")
    assert set(latencies) == {("m", "predict", "REST"), ("m", "", "REST"), ("m", "Predict", "GRPC")}
    assert latencies["m", "predict", "REST"][1] == pytest.approx(2000, rel=0.5)
    assert samples(metrics, "runtime_latency") == {("m", "Predict", "TF1"): (2, pytest.approx(4000))}


def test_request_is_counted_with_its_status_and_not_timed_when_it_fails():
    metrics = Metrics()
    for error in (not_found("x"), asyncio.CancelledError(), ValueError("x")):
        metrics.rest.failed("m", error)
    metrics.grpc.failed("m", not_found("x"))
    assert metric(metrics, "request_count").cells == {
        ("m", "NOT_FOUND"): 2,
        ("m", "CANCELLED"): 1,
        ("m", "INTERNAL"): 1,
    }
    assert samples(metrics, "request_latency") == {}


def test_timer_counts_what_its_block_came_to():
    requests = RequestMetrics("GRPC")
    with requests.timed("m", "Classify") as timer:
        timer.run_s = 0.5
    with pytest.raises(ServingError), requests.timed("m", "Classify"):
        raise not_found("x")
    ((model, api, latency, runtime),) = requests.answered()
    assert (model, api, sum(latency.counts), runtime.sum) == ("m", "Classify", 1, 5e5)
    assert requests.failures.items() == {("m", "NOT_FOUND"): 1}


def test_batches_are_counted_as_upstreams_test_has_them():
    """AllowedBatchSizesRequirePadding: input +2, processed +3, padding +1."""
    metrics = Metrics()
    metrics.batching.dequeued([task(rows=2, inputs=1, enqueued=5.0)], 5.00025)
    metrics.batching.ran(2, 3)
    assert samples(metrics, "batching_session/input_batch_size") == {(): (1, 2)}
    assert samples(metrics, "batching_session/processed_batch_size") == {(): (1, 3)}
    assert samples(metrics, "batching_session/padding_size") == {("3",): (1, 1)}
    assert samples(metrics, "batching_session/queuing_latency") == {("",): (1, pytest.approx(250))}
    assert metric(metrics, "batching_session/wrapped_run_count").cells == {(): 1}


def test_input_batch_size_is_counted_for_every_tensor_when_there_are_several():
    metrics = Metrics()
    metrics.batching.dequeued([task(rows=5, inputs=3), task(rows=0, inputs=2)], 0.0)
    assert samples(metrics, "batching_session/input_batch_size") == {(): (3, 15)}
    assert samples(metrics, "batching_session/queuing_latency") == {("",): (1, 0)}


def test_warmup_is_counted_by_folder_and_status():
    metrics = Metrics()
    metrics.warmed_up("/m/1", None, 0.25, 4)
    metrics.warmed_up("/m/2", ServingError(Code.DATA_LOSS, "bad"), 0.5, 1)
    assert samples(metrics, "model_warmup_latency") == {
        ("/m/1", "OK"): (1, 250_000),
        ("/m/2", "DATA_LOSS: bad"): (1, 500_000),
    }
    assert metric(metrics, "model_warmup_records_read").cells == {
        ("/m/1", "OK"): 4,
        ("/m/2", "DATA_LOSS: bad"): 1,
    }


def test_examples_and_logs_are_counted_by_model():
    metrics = Metrics()
    metrics.inferred_examples("m", 3)
    metrics.request_logged("m", Code.OK)
    assert samples(metrics, "request_example_counts") == {("m",): (1, 3)}
    assert metric(metrics, "request_example_count_total").cells == {("m",): 3}
    assert metric(metrics, "request_log_count").cells == {("m", "OK"): 1}


def test_first_value_is_the_first_cells_when_it_is_a_number():
    metrics = Metrics()
    name = "/tensorflow/serving/request_count"
    assert metrics.first_value(name) == 0
    metrics.rest.failed("b", not_found("x"))
    metrics.rest.failed("a", not_found("x"))
    metrics.rest.failed("a", not_found("x"))
    assert metrics.first_value(name) == 2
    metrics.rest.succeeded("a", "predict", perf_counter())
    assert metrics.first_value("/tensorflow/serving/request_latency") == 0
    assert metrics.first_value("/no/such/metric") == 0


@given(st.integers(0, 2**20))
def test_batch_size_falls_in_the_bucket_below_its_limit(size):
    metrics = Metrics()
    metrics.batching.ran(size, size)
    counts = metrics.batching.processed_batch_size.counts
    assert counts.index(1) == bisect_right(BATCH_SIZE_LIMITS, size)


def test_cells_are_bounded_when_a_sender_makes_names_up():
    counters = Counters()
    for number in range(2 * MAX_CELLS):
        counters.add(f"model-{number}", "NOT_FOUND")
    counters.add("model-0", "NOT_FOUND")
    counters.add("x" * 10_000, "NOT_FOUND")
    cells = counters.items()
    assert len(cells) == MAX_CELLS + 1
    assert cells["model-0", "NOT_FOUND"] == 2
    assert cells["", ""] == MAX_CELLS + 1


@pytest.mark.parametrize("name", ["bought", "x" * 300])
def test_failures_of_a_served_model_are_counted_by_its_name_when_strangers_filled_their_cells(name):
    metrics = Metrics(is_served=name.__eq__)
    for number in range(MAX_CELLS + 5):
        metrics.rest.failed(f"model-{number}", not_found("no"))
    metrics.rest.failed("y" * 300, ServingError(Code.UNAUTHENTICATED, "no"))
    metrics.rest.failed(name, ServingError(Code.INTERNAL, "bad"))
    cells = metric(metrics, "request_count").cells
    assert cells[name, "INTERNAL"] == 1
    assert cells["", "NOT_FOUND"] == 5
    assert cells["", "UNAUTHENTICATED"] == 1
    assert len(cells) == MAX_CELLS + 3


def test_failures_of_a_model_that_answered_keep_its_name_when_no_list_of_models_is_known():
    requests = RequestMetrics("REST")
    requests.succeeded("m", "predict", perf_counter())
    requests.take()
    for number in range(MAX_CELLS + 5):
        requests.failed(f"model-{number}", not_found("no"))
    requests.failed("m", not_found("no"))
    assert requests.failures.items()["m", "NOT_FOUND"] == 1


def test_padding_cells_are_bounded_when_batches_have_many_sizes():
    metrics = Metrics()
    for size in range(1, 2 * MAX_CELLS):
        metrics.batching.ran(size, size)
    assert len(metric(metrics, "batching_session/padding_size").cells) == MAX_CELLS + 1
    assert metric(metrics, "batching_session/wrapped_run_count").cells == {(): 2 * MAX_CELLS - 1}


@given(st.lists(st.floats(0, 1e12)))
def test_histogram_keeps_every_sample_in_the_bucket_below_its_limit(values):
    histogram = Histogram(LATENCY_LIMITS)
    for value in values:
        histogram.add(value)
    assert sum(histogram.counts) == len(values)
    for index, limit in enumerate(LATENCY_LIMITS):
        assert sum(histogram.counts[: index + 1]) == sum(value < limit for value in values)
    assert histogram.sum == pytest.approx(sum(values))
