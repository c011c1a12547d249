"""TensorFlow Serving's own end-to-end cases, in our words, on the command that is started as its binary is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from tests.contract.engines import config_text, free_port, running_engine, wait_loaded

TIMEOUT_S = 30
CHANNEL_ARGUMENTS = "grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb"


def predict_request(model: str = "default", x: float = 2.0, outputs: Any = ()) -> Any:
    request = protos.PredictRequest()
    request.model_spec.name = model
    encode_tensor(np.array([x], np.float32), request.inputs["x"])
    request.output_filter.extend(outputs)
    return request


def predicted(address: str, *request: Any, **choice: Any) -> Any:
    with grpc.insecure_channel(address) as channel:
        return protos.PredictionServiceStub(channel).Predict(
            predict_request(*request, **choice), timeout=TIMEOUT_S
        )


@pytest.fixture(scope="module")
def server(contract_models, tmp_path_factory):
    """Started with most of upstream's flags at once, on ports that were chosen by the caller."""
    folder = tmp_path_factory.mktemp("server")
    monitoring, batching = folder / "monitoring.config", folder / "batching.config"
    monitoring.write_text("prometheus_config {\n  enable: true\n}\n")
    batching.write_text(
        "max_batch_size { value: 128 }\nbatch_timeout_micros { value: 0 }\n"
        "max_enqueued_batches { value: 1000000 }\nnum_batch_threads { value: 8 }\n"
    )
    flags = (
        f"--port={free_port()}",
        f"--rest_api_port={free_port()}",
        "--model_name=default",
        f"--model_base_path={contract_models / 'half_plus_two'}",
        f"--grpc_socket_path={folder / 'grpc.sock'}",
        f"--grpc_channel_arguments={CHANNEL_ARGUMENTS}",
        f"--monitoring_config_file={monitoring}",
        "--enable_batching",
        f"--batching_parameters_file={batching}",
        "--rest_api_timeout_in_ms=20000",
        "--rest_api_num_threads=8",
        "--grpc_max_threads=8",
        "--num_load_threads=1",
        "--num_unload_threads=1",
        "--flush_filesystem_caches=false",
        "--tensorflow_intra_op_parallelism=1",
        "--tensorflow_inter_op_parallelism=1",
        "--saved_model_tags=serve",
        "--rest_api_enable_cors_support=true",
        "--enable_model_warmup=false",
        "--remove_unused_fields_from_bundle_metagraph=false",
        "--enable_signature_method_name_check=false",
        "--enable_profiler=false",
        "--file_system_poll_wait_seconds=1",
        "--an_unknown_flag=1",
    )
    with running_engine(folder, *flags) as running:
        wait_loaded(running, "default")
        ports = [flag.partition("=")[2] for flag in flags[:2]]
        assert running.connection.grpc_address == f"127.0.0.1:{ports[0]}"
        assert running.connection.rest_url == f"http://127.0.0.1:{ports[1]}"
        yield running


def test_readiness_probe_finds_the_word_servable(server) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        predicted(server.connection.grpc_address, "intentionally_missing_model")
    assert "Servable" in raised.value.details()


def test_models_are_up_when_the_readiness_probe_is_answered(contract_models, tmp_path) -> None:
    """Upstream's ports open when its models are up; ours earlier, but a model that is not there is so only then."""
    with running_engine(tmp_path, f"--model_base_path={contract_models}/half_plus_two") as running:
        with pytest.raises(grpc.RpcError) as raised:
            predicted(running.connection.grpc_address, "intentionally_missing_model")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        (status,) = running.rest.get("/v1/models/default").json()["model_version_status"]
        assert (status["version"], status["state"]) == ("123", "AVAILABLE")


def test_predict_answers_over_tcp_and_a_unix_socket(server) -> None:
    for address in (server.connection.grpc_address, f"unix:{server.log.parent / 'grpc.sock'}"):
        for outputs in ((), ("y",)):
            response = predicted(address, outputs=outputs)
            answer = response.outputs["y"]
            assert (answer.dtype, list(answer.float_val)) == (1, [3.0])
            assert response.model_spec.version.value == 123


def test_rest_answers_rows_and_columns(server) -> None:
    assert server.predict("default", instances=[2.0, 3.0, 4.0]) == {"predictions": [3.0, 3.5, 4.0]}
    assert server.predict("default", inputs=[2.0, 3.0, 4.0]) == {"outputs": [3.0, 3.5, 4.0]}


def test_cors_headers_are_on_every_answer_of_the_api(server) -> None:
    for target in ("/v1/models/default", "/v1/models/no", "/v1/foo"):
        assert server.rest.get(target).headers["Access-Control-Allow-Origin"] == "*"
    preflight = server.rest.options("/v1/models/default:predict", headers={"Origin": "http://page.example"})
    assert (preflight.status_code, preflight.content) == (200, b"")
    assert preflight.headers["Access-Control-Allow-Methods"] == "POST, GET"
    assert preflight.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert "Access-Control-Allow-Origin" not in server.rest.get("/foo").headers


def test_unknown_flag_is_reported_and_the_server_runs(server) -> None:
    assert "unknown argument: --an_unknown_flag=1" in server.log.read_text()


def test_prometheus_page_has_upstream_s_metrics(server) -> None:
    server.predict("default", instances=[1.0])
    page = server.rest.get("/monitoring/prometheus/metrics")
    assert page.headers["Content-Type"] == "text/plain"
    lines = page.text.splitlines()
    assert "# TYPE :tensorflow:serving:request_count counter" in lines
    assert "# TYPE :tensorflow:serving:request_latency histogram" in lines
    count = next(
        line
        for line in lines
        if line.startswith(':tensorflow:serving:request_count{model_name="default",status="OK"} ')
    )
    assert int(count.split()[-1]) >= 1
    latency = (
        ':tensorflow:serving:request_latency_bucket{model_name="default",API="predict",entrypoint="REST",'
    )
    limits = [line.split('le="')[1].split('"')[0] for line in lines if line.startswith(latency)]
    assert limits[:6] == ["10", "18", "32.4", "58.32", "104.976", "188.957"]
    assert limits[-2:] == ["1.47476e+09", "+Inf"]
    wrong = server.rest.get("/monitoring/prometheus/metrics?x=1")
    assert (wrong.status_code, wrong.text) == (
        400,
        "Unexpected path: /monitoring/prometheus/metrics?x=1. Should be /monitoring/prometheus/metrics",
    )


def samples(server, name: str) -> dict[str, float]:
    """A metric's samples by their labels as written."""
    page = server.rest.get("/monitoring/prometheus/metrics").text
    found = re.findall(rf"^:tensorflow:serving:{name}{{(.*)}} (.*)$", page, re.M)
    return {labels: float(value) for labels, value in found}


def test_requests_are_counted_as_upstream_counts_them(server) -> None:
    """Every REST request, also those that are none; of gRPC those that predict; latency of successes only."""
    address = server.connection.grpc_address
    counts, latencies = samples(server, "request_count"), samples(server, "request_latency_count")
    server.predict("default", instances=[1.0])
    server.rest.get("/v1/models/default")
    server.rest.options("/v1/models/default")
    server.rest.post("/v1/models/default:nothing")
    server.rest.post("/v1/models/no:predict", content='{"instances": [1]}')
    server.rest.get("/outside")
    predicted(address)
    with pytest.raises(grpc.RpcError):
        predicted(address, "no")
    with grpc.insecure_channel(address) as channel:
        request = protos.GetModelStatusRequest()
        request.model_spec.name = "default"
        protos.ModelServiceStub(channel).GetModelStatus(request, timeout=TIMEOUT_S)

    def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
        return {labels: value - before.get(labels, 0) for labels, value in after.items()}

    counted = {labels: n for labels, n in grown(counts, samples(server, "request_count")).items() if n}
    assert counted == {
        'model_name="default",status="OK"': 3,
        'model_name="",status="OK"': 1,
        'model_name="",status="INVALID_ARGUMENT"': 1,
        'model_name="no",status="NOT_FOUND"': 2,
    }
    timed = {
        labels: n for labels, n in grown(latencies, samples(server, "request_latency_count")).items() if n
    }
    assert timed == {
        'model_name="default",API="predict",entrypoint="REST"': 1,
        'model_name="default",API="",entrypoint="REST"': 1,
        'model_name="",API="",entrypoint="REST"': 1,
        'model_name="default",API="Predict",entrypoint="GRPC"': 1,
    }


def test_prometheus_page_is_absent_without_its_flag(engine) -> None:
    assert engine.rest.get("/monitoring/prometheus/metrics").status_code == 404


# Config files


@pytest.mark.parametrize("language", ["text", "json"])
def test_config_file_s_models_are_served(contract_models, tmp_path, language: str) -> None:
    paths = {"half_plus_two": contract_models / "half_plus_two", "three": contract_models / "half_plus_three"}
    config = tmp_path / "models.config"
    config.write_text(config_text(paths) if language == "text" else json_config(paths))
    # The file's models win over the base path, as upstream.
    flags = (f"--model_config_file={config}", f"--model_base_path={contract_models}/counter")
    with running_engine(tmp_path, *flags) as running:
        wait_loaded(running, *paths)
        answers = [
            list(predicted(running.connection.grpc_address, name, outputs=outputs).outputs["y"].float_val)
            for name in paths
            for outputs in ((), ("y",))
        ]
        assert answers == [[3.0], [3.0], [4.0], [4.0]]
        assert running.rest.get("/v1/models/default").status_code == 404


def json_config(paths: dict[str, Path]) -> str:
    entries = [
        {"name": name, "base_path": str(path), "model_platform": "tensorflow"} for name, path in paths.items()
    ]
    return json.dumps({"model_config_list": {"config": entries}})


def test_bad_config_file_ends_the_start(tmp_path) -> None:
    config = tmp_path / "bad.config"
    config.write_text("improperly formatted file")
    command = [sys.executable, "-m", "jupyter_tfserve", f"--model_config_file={config}", "--port=-1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 255
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in done.stderr
    assert "Failed to start server. Error: INVALID_ARGUMENT: Invalid protobuf file: " in done.stdout


def test_rewritten_config_file_counts_only_when_it_is_polled(contract_models, tmp_path, eventually) -> None:
    """Two engines on one file: the one that polls follows it, the other never looks again."""
    config = tmp_path / "models.config"
    config.write_text(config_text({"half_plus_two": contract_models / "half_plus_two"}))
    flag = f"--model_config_file={config}"
    polling = running_engine(tmp_path / "polling", flag, "--model_config_file_poll_wait_seconds=1")
    resting = running_engine(tmp_path / "resting", flag, "--model_config_file_poll_wait_seconds=0")
    with polling as follower, resting as other:
        for running in (follower, other):
            wait_loaded(running, "half_plus_two")
        config.write_text(config_text({"three": contract_models / "half_plus_three"}))
        eventually(lambda: follower.rest.get("/v1/models/three").status_code == 200, 10)
        wait_loaded(follower, "three")
        config.write_text("improperly formatted file")
        eventually(lambda: "Failed to read ModelServerConfig file: " in follower.log.read_text(), 10)
        assert follower.predict("three", instances=[1.0]) == {"predictions": [3.5]}
        assert follower.rest.post("/v1/models/half_plus_two:predict", content='{"instances": [1]}').is_error
        assert other.predict("half_plus_two", instances=[1.0]) == {"predictions": [2.5]}
        assert other.rest.get("/v1/models/three").status_code == 404


# Switches


def test_switches_of_signatures_and_serialization(contract_models, tmp_path) -> None:
    paths = {
        name: contract_models / name for name in ("half_plus_two", "odd_signatures", "half_plus_two_tf2")
    }
    config = tmp_path / "models.config"
    config.write_text(config_text(paths))
    flags = (
        f"--model_config_file={config}",
        "--enable_signature_method_name_check",
        "--enable_serialization_as_tensor_content",
    )
    with running_engine(tmp_path, *flags) as running:
        wait_loaded(running, *paths)
        answer = predicted(running.connection.grpc_address, "half_plus_two").outputs["y"]
        assert answer.tensor_content == np.array([3.0], np.float32).tobytes()
        assert not answer.float_val
        # Upstream's REST cannot read what this flag does; ours can.
        assert running.predict("half_plus_two", instances=[1.0]) == {"predictions": [2.5]}
        rows = [
            (
                "half_plus_two_tf2:classify",
                {"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]},
                "Expected classification signature method_name to be tensorflow/serving/classify. "
                "Was: tensorflow/serving/predict",
            ),
            (
                "half_plus_two_tf2:regress",
                {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}]},
                "Expected regression signature method_name to be tensorflow/serving/regress. "
                "Was: tensorflow/serving/predict",
            ),
            (
                "odd_signatures:predict",
                {"signature_name": "method_unknown_x", "instances": [[1.0]]},
                "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
                "tensorflow/serving/classify, tensorflow/serving/regress}. Was: my/method",
            ),
        ]
        for target, body, message in rows:
            refused = running.rest.post(f"/v1/models/{target}", content=json.dumps(body))
            assert refused.json()["error"] == message
        classify = {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}
        allowed = running.rest.post("/v1/models/half_plus_two:classify", content=json.dumps(classify))
        assert allowed.json() == {"results": [[["", 3.0]]]}


def test_run_that_takes_too_long_is_given_up(contract_models, tmp_path) -> None:
    flags = ("--rest_api_timeout_in_ms=400", f"--model_base_path={contract_models}/hang_run")
    with running_engine(tmp_path, *flags) as running:
        wait_loaded(running, "default")
        answer = running.rest.post("/v1/models/default:predict", content='{"instances": [-1.0]}')
        assert answer.status_code == 504, answer.text
        assert answer.json() == {"error": "Timed out waiting for notification"}
        with (
            pytest.raises(grpc.RpcError) as raised,
            grpc.insecure_channel(running.connection.grpc_address) as channel,
        ):
            protos.PredictionServiceStub(channel).Predict(predict_request(x=-1.0), timeout=0.4)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        deadline = time.monotonic() + 30
        while running.rest.post("/v1/models/default:predict", content='{"instances": [1]}').is_error:
            assert time.monotonic() < deadline, running.log.read_text()


# Starts that fail


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--port=0", "--rest_api_port=0", "--model_base_path=/x"),
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.",
        ),
        (
            ("--rest_api_port=-1",),
            "Both server_options.model_base_path and server_options.model_config_file are empty!",
        ),
        (
            ("--model_base_path=/x", "--batching_parameters_file=/x"),
            "server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true.",
        ),
        (
            (
                "--model_base_path=/x",
                "--tensorflow_session_parallelism=1",
                "--tensorflow_intra_op_parallelism=1",
                "--tensorflow_inter_op_parallelism=1",
            ),
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. You cannot configure all.",
        ),
    ],
)
def test_flags_that_cannot_be_combined_end_the_start(flags: tuple[str, ...], message: str) -> None:
    command = [sys.executable, "-m", "jupyter_tfserve", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 255
    assert f"Failed to start server. Error: INVALID_ARGUMENT: {message}" in done.stdout


def test_host_of_another_machine_is_refused_on_loopback(server) -> None:
    answers = [
        server.rest.get("/v1/models/default", headers={"Host": host})
        for host in ("localhost", "127.0.0.1:1", "page.example")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
