"""Monitoring whole: real engines, real requests, and what Prometheus is then told."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from jupyter_tfserve.codec.protos import PredictionServiceStub, PredictRequest
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.client_figures import VersionFigures

PATH = "/monitoring/prometheus/metrics"
PREFIX = ":tensorflow:serving:"
OURS = [
    "batched_requests_total", "batched_rows_total", "batches_total", "build_info", "engine_resident_memory_bytes",
    "event_loop_lag_seconds", "lanes", "lanes_busy", "open_connections", "overruns_total", "padding_rows_total",
    "queue_rows", "queue_tasks", "replicas", "requests_in_flight", "version_state", "worker_resident_memory_bytes",
    "worker_restarts_total",
]  # fmt: skip


@pytest.fixture(scope="module")
def half(make_saved_models, tmp_path_factory) -> Path:
    """A base path of our own: other tests may add versions to the shared one."""
    base = tmp_path_factory.mktemp("models") / "half"
    shutil.copytree(make_saved_models("half_plus_two=1") / "half_plus_two" / "1", base / "1")
    return base


def monitoring(folder: Path, text: str = "prometheus_config { enable: true }") -> str:
    file = folder / "monitoring.config"
    file.write_text(text)
    return f"--monitoring_config_file={file}"


def start(start_engine: Any, model: Path, *flags: str) -> Any:
    engine = start_engine(f"--model_base_path={model}", "--model_name=half", *flags)
    engine.wait_version("half", 1)
    return engine


def parsed(text: str) -> dict[str, float]:
    """Every sample by its name and labels; the format is checked on the way."""
    samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (TYPE [\w:]+ (counter|gauge|histogram)|HELP \w+ .+)", line), line
            continue
        match = re.fullmatch(r"([a-zA-Z_:][\w:]*\{[^{}]*\}) (\S+)", line)
        assert match is not None, line
        samples[match[1]] = float(match[2])
    return samples


def metrics(engine: Any, path: str = PATH) -> dict[str, float]:
    answer = engine.rest.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain"
    return parsed(answer.text)


def call_grpc(engine: Any, model: str) -> None:
    request = PredictRequest()
    request.model_spec.name = model
    encode_tensor(np.float32([1, 2, 5]), request.inputs["x"])
    with grpc.insecure_channel(engine.connection.grpc_address) as channel:
        PredictionServiceStub(channel).Predict(request, timeout=30)


def test_requests_of_both_protocols_are_on_the_page_when_monitoring_is_enabled(
    start_engine, half, tmp_path, eventually
) -> None:
    engine = start(start_engine, half, monitoring(tmp_path))
    for _ in range(3):
        engine.predict("half", instances=[1.0, 2.0])
    call_grpc(engine, "half")
    with pytest.raises(grpc.RpcError):
        call_grpc(engine, "nobody")
    engine.rest.get("/v1/models/half")
    engine.rest.post("/v1/models/half:predict", content="{")
    engine.rest.post("/v1/nonsense")
    page = metrics(engine)
    counts = {name: value for name, value in page.items() if name.startswith(f"{PREFIX}request_count")}
    assert counts == {
        f'{PREFIX}request_count{{model_name="half",status="OK"}}': 5,
        f'{PREFIX}request_count{{model_name="half",status="INVALID_ARGUMENT"}}': 1,
        f'{PREFIX}request_count{{model_name="nobody",status="NOT_FOUND"}}': 1,
        f'{PREFIX}request_count{{model_name="",status="INVALID_ARGUMENT"}}': 1,
    }
    labels = 'model_name="half",API="predict",entrypoint="REST"'
    assert page[f"{PREFIX}request_latency_count{{{labels}}}"] == 3
    assert page[f'{PREFIX}request_latency_bucket{{{labels},le="+Inf"}}'] == 3
    assert page[f"{PREFIX}request_latency_sum{{{labels}}}"] > 0
    assert page[f'{PREFIX}request_latency_count{{model_name="half",API="",entrypoint="REST"}}'] == 1
    assert page[f'{PREFIX}request_latency_count{{model_name="half",API="Predict",entrypoint="GRPC"}}'] == 1
    assert page[f'{PREFIX}runtime_latency_count{{model_name="half",API="Predict",runtime="TF1"}}'] == 4
    assert page[f"{PREFIX}batching_session:input_batch_size_count{{}}"] == 4
    assert page[f"{PREFIX}batching_session:input_batch_size_sum{{}}"] == 9
    assert page[f"{PREFIX}batching_session:processed_batch_size_sum{{}}"] == 9
    assert page[f"{PREFIX}batching_session:wrapped_run_count{{}}"] == 4
    assert page[f'{PREFIX}batching_session:queuing_latency_count{{thread_pool_name=""}}'] == 4
    check_figures(engine, eventually)


def check_figures(engine: Any, eventually: Any) -> None:
    """What people are shown of the same requests: by version, as a client's value."""
    connection = engine.connection
    client = ControlClient(connection.control_url, connection.token)
    eventually(lambda: sum(p.requests_per_second > 0 for p in version_figures(client).history))
    figures = version_figures(client)
    client.close()
    # The body that was no JSON met no version.
    assert figures.requests == 4
    assert 0 < figures.requests_per_second <= 4
    assert figures.errors_per_second == 0
    assert figures.p50_ms is not None
    assert figures.p99_ms is not None
    assert 0 < figures.p50_ms <= figures.p99_ms < 60_000
    assert figures.memory_bytes is not None
    assert figures.memory_bytes > 2**20
    assert figures.disk_bytes is not None
    assert figures.disk_bytes > 1000
    assert figures.available_since is not None
    assert figures.available_since <= figures.history[-1].time
    assert figures.devices == ("CPU",)
    assert figures.batch_rows is not None
    assert figures.batch_rows >= 1
    assert figures.waiting == 0


def version_figures(client: ControlClient) -> VersionFigures:
    figures = client.figures()
    assert figures.window_s == 60
    found = figures.version("half", 1)
    assert found is not None
    return found


def test_our_metrics_tell_of_versions_and_engine(start_engine, half, tmp_path, eventually) -> None:
    engine = start(start_engine, half, monitoring(tmp_path))
    engine.predict("half", instances=[1.0, 2.0])
    page = metrics(engine)
    names = {name.partition("{")[0] for name in page if name.startswith("jupyter_tfserve_")}
    assert names == {f"jupyter_tfserve_{name}" for name in OURS}
    version = '{model="half",version="1"}'
    assert page[f"jupyter_tfserve_batched_rows_total{version}"] == 2
    assert page[f"jupyter_tfserve_lanes{version}"] == 2
    assert page[f"jupyter_tfserve_requests_in_flight{version}"] == 0
    assert page[f"jupyter_tfserve_worker_resident_memory_bytes{version}"] > 2**20
    assert page["jupyter_tfserve_engine_resident_memory_bytes{}"] > 2**20
    assert page['jupyter_tfserve_version_state{model="half",version="1",state="AVAILABLE"}'] == 1
    assert page['jupyter_tfserve_open_connections{port="rest"}'] == 1
    restarts = f"jupyter_tfserve_worker_restarts_total{version}"
    assert page[restarts] == 0
    os.kill(engine.worker_pid("half", 1), signal.SIGKILL)
    eventually(lambda: metrics(engine)[restarts] == 1)


def test_event_loops_lag_is_seen_when_it_stood_still(start_engine, half, tmp_path, eventually) -> None:
    engine = start(start_engine, half, monitoring(tmp_path))
    os.kill(engine.process.pid, signal.SIGSTOP)
    stopped = engine.process.pid
    try:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(1)"], check=True)
    finally:
        os.kill(stopped, signal.SIGCONT)
    eventually(lambda: metrics(engine)["jupyter_tfserve_event_loop_lag_seconds{}"] > 0.5)


def test_page_has_the_path_of_the_config(start_engine, half, tmp_path) -> None:
    text = 'prometheus_config { enable: true path: "/v1/metrics" }'
    engine = start(start_engine, half, monitoring(tmp_path, text))
    assert metrics(engine, "/v1/metrics")
    assert engine.rest.get(PATH).status_code == 404
    assert engine.control.get("/v1/metrics").text.startswith("# TYPE ")
    answer = engine.rest.put("/v1/metrics?x=1")
    assert (answer.status_code, answer.text) == (
        400,
        "Unexpected path: /v1/metrics?x=1. Should be /v1/metrics",
    )


def test_page_is_on_the_control_port_only_when_monitoring_is_not_enabled(
    start_engine, half, tmp_path
) -> None:
    engine = start(start_engine, half, monitoring(tmp_path, "prometheus_config { }"))
    assert engine.rest.get(PATH).status_code == 404
    assert parsed(engine.control.get(PATH).text)
    del engine.control.headers["authorization"]
    assert engine.control.get(PATH).status_code == 401


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prometheus_config: 7", "Invalid protobuf file: '{file}'"),
        (None, "Can't read '{file}': No such file"),
    ],
)
def test_start_fails_with_the_file_when_the_config_cannot_be_read(tmp_path, text, message) -> None:
    """Upstream says so and then cannot exit."""
    file = tmp_path / "monitoring.config"
    if text is not None:
        file.write_text(text)
    flags = [f"--monitoring_config_file={file}", f"--model_base_path={tmp_path}"]
    command = [sys.executable, "-m", "jupyter_tfserve", "serve", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 255
    expected = message.format(file=file)
    assert f"Failed to start server. Error: INVALID_ARGUMENT: {expected}" in done.stdout
