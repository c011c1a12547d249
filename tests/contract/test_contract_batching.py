"""Batching by TensorFlow Serving's parameters: its refusals, its padding, its full queue, to the letter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from jupyter_tfserve.codec import protos
from tests.contract.engines import config_text, running_engine, wait_loaded
from tests.running_engine import RunningEngine

PARAMETERS = """
max_batch_size { value: 4 }
batch_timeout_micros { value: 300000 }
max_enqueued_batches { value: 2 }
num_batch_threads { value: 2 }
allowed_batch_sizes: 2
allowed_batch_sizes: 4
"""
SPLIT_AND_PAD = """
max_batch_size { value: 8 }
max_execution_batch_size { value: 4 }
batch_timeout_micros { value: 300000 }
enable_large_batch_splitting { value: true }
pad_variable_length_inputs: true
"""
MODELS = ("half_plus_two", "counter", "multi_io", "odd_outputs", "matrix_half_plus_two", "hang_run")
UNEQUAL_SHAPES = (
    "Tensors with name 'x:0' from different tasks have different shapes and padding is turned off. "
    "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
    "dimensions starting with the first dim."
)


def start(contract_models, folder, parameters: str, *flags: str) -> Any:
    batching, config = folder / "batching.config", folder / "models.config"
    batching.write_text(parameters)
    config.write_text(config_text({name: contract_models / name for name in MODELS}))
    return running_engine(
        folder,
        f"--model_config_file={config}",
        "--enable_batching",
        f"--batching_parameters_file={batching}",
        *flags,
    )


@pytest.fixture(scope="module")
def batching(contract_models, tmp_path_factory) -> Iterator[RunningEngine]:
    folder = tmp_path_factory.mktemp("batching")
    with start(contract_models, folder, PARAMETERS, "--rest_api_timeout_in_ms=1500") as running:
        wait_loaded(running, *MODELS)
        yield running


@pytest.fixture(scope="module")
def splitting(contract_models, tmp_path_factory) -> Iterator[RunningEngine]:
    folder = tmp_path_factory.mktemp("splitting")
    with start(contract_models, folder, SPLIT_AND_PAD) as running:
        wait_loaded(running, *MODELS)
        yield running


def post(engine: RunningEngine, model: str, body: Any) -> tuple[int, Any]:
    answer = engine.rest.post(f"/v1/models/{model}:predict", content=json.dumps(body))
    return answer.status_code, answer.json()


def together(engine: RunningEngine, model: str, *bodies: Any) -> list[tuple[int, Any]]:
    """The answers to requests that are sent at once."""
    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: post(engine, model, body), bodies))


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("half_plus_two", {"inputs": [1.0] * 5}, "Task size 5 is larger than maximum input batch size 4"),
        (
            "half_plus_two",
            {"inputs": 1.0},
            "Batching Run() input tensors must have at least one dimension",
        ),
        (
            "multi_io",
            {"inputs": {"a": [[1, 2]], "b": [[1, 2], [3, 4]]}},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
        (
            "odd_outputs",
            {"signature_name": "scalar", "inputs": [1.0]},
            "Batched output tensor has 0 dimensions",
        ),
        (
            "odd_outputs",
            {"signature_name": "other_batch", "inputs": [1.0]},
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
            "input tensors",
        ),
    ],
)
def test_request_that_cannot_be_batched_is_refused(batching, model: str, body: Any, message: str) -> None:
    status, answer = post(batching, model, body)
    assert (status, answer["error"]) == (400, message)


def test_signature_without_inputs_cannot_be_batched(batching) -> None:
    request = protos.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "counter", "get_counter"
    with (
        grpc.insecure_channel(batching.connection.grpc_address) as channel,
        pytest.raises(grpc.RpcError) as raised,
    ):
        protos.PredictionServiceStub(channel).Predict(request, timeout=30)
    assert (raised.value.code(), raised.value.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Batching Run() must have at least one input tensor",
    )


def test_requests_are_merged_and_each_gets_its_own_rows(batching) -> None:
    """Padding to an allowed size is seen by nobody."""
    bodies = [{"instances": [value]} for value in (2.0, 4.0, 6.0)]
    answers = together(batching, "half_plus_two", *bodies)
    assert answers == [(200, {"predictions": [value]}) for value in (3.0, 4.0, 5.0)]
    three_rows = post(batching, "matrix_half_plus_two", {"instances": [[[2.0] * 3] * 3] * 3})
    assert three_rows == (200, {"predictions": [[[3.0] * 3] * 3] * 3})


def test_different_shapes_in_one_batch_fail_together(batching) -> None:
    answers = together(batching, "half_plus_two", {"instances": [[1.0, 2.0]]}, {"instances": [[1.0] * 3]})
    assert [(status, answer["error"]) for status, answer in answers] == [(400, UNEQUAL_SHAPES)] * 2


def test_full_queue_refuses_and_a_long_wait_is_ended(batching) -> None:
    """Both batch threads hang; what waits behind them fills the queue, and then runs out of time."""
    request = protos.PredictRequest()
    request.model_spec.name = "hang_run"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=4)
    request.inputs["x"].float_val.append(-1)
    full = {"inputs": [1.0] * 4}
    with grpc.insecure_channel(batching.connection.grpc_address) as channel, ThreadPoolExecutor(8) as pool:
        stub = protos.PredictionServiceStub(channel)
        hanging = [stub.Predict.future(request, timeout=60) for _ in range(2)]
        while (first := post(batching, "hang_run", full))[0] == 200:
            pass  # a thread is still free
        # As upstream, what has waited too long keeps its place until its turn: one place of two is left.
        answers = list(pool.map(lambda _: post(batching, "hang_run", full), range(8)))
        for call in hanging:
            call.cancel()
    told = [(status, answer["error"]) for status, answer in [first, *answers]]
    refused = (
        503,
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued "
        "and max_enqueued_batches is 2",
    )
    waited = (429, "Run() timeout exceeded while waiting in batching queue")
    assert sorted(told) == sorted([refused] * 7 + [waited] * 2)


def test_large_request_is_split_and_its_rows_come_back_in_order(splitting) -> None:
    status, answer = post(splitting, "half_plus_two", {"instances": [float(row) for row in range(8)]})
    assert (status, answer) == (200, {"predictions": [row / 2 + 2 for row in range(8)]})
    status, answer = post(splitting, "half_plus_two", {"instances": [1.0] * 9})
    assert (status, answer["error"]) == (400, "Task size 9 is larger than maximum input batch size 8")


def test_shorter_rows_are_padded_with_their_own_first_value(splitting) -> None:
    answers = together(splitting, "half_plus_two", {"instances": [[2.0, 4.0, 6.0]]}, {"instances": [[8.0]]})
    assert answers == [(200, {"predictions": [[3.0, 4.0, 5.0]]}), (200, {"predictions": [[6.0, 6.0, 6.0]]})]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 2 allowed_batch_sizes: 3",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 3; expected 4",
        ),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        (
            "max_batch_size { value: 4 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 8 }",
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal "
            "to max_execution_batch_size.",
        ),
    ],
)
def test_parameters_that_cannot_be_are_told_at_the_start(tmp_path, parameters: str, message: str) -> None:
    file = tmp_path / "batching.config"
    file.write_text(parameters)
    flags = (f"--model_base_path={tmp_path}", "--enable_batching", f"--batching_parameters_file={file}")
    command = [sys.executable, "-m", "jupyter_tfserve", "--port=-1", "--rest_api_port=-1", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 255
    assert f"Failed to start server. Error: INVALID_ARGUMENT: {message}" in done.stdout
