"""Batching by TensorFlow Serving's parameters, whole: refusals over REST, and parameters of a version's own."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jupyter_tfserve.engine.version_options import BATCHING_FILE


@pytest.fixture(scope="module")
def saved(make_saved_models) -> Path:
    return make_saved_models("half_plus_two=78", "scalar=78", "slow=78")


@pytest.fixture
def model(saved, tmp_path: Path) -> Any:
    """Makes `NAME/1`, with the batching parameters given in its folder; returns the base path."""

    def make(name: str, parameters: str = "") -> Path:
        base = tmp_path / name
        shutil.copytree(saved / name / "78", base / "1")
        if parameters:
            (base / "1" / BATCHING_FILE).write_text(parameters)
        return base

    return make


def refused(engine: Any, model: str, **body: Any) -> tuple[int, str]:
    answer = engine.rest.post(f"/v1/models/{model}:predict", content=json.dumps(body))
    return answer.status_code, answer.json()["error"]


@pytest.mark.slow
def test_requests_keep_tensorflow_servings_rules_when_batching_is_enabled(
    start_engine, model, tmp_path
) -> None:
    model("half_plus_two")
    model("scalar")
    parameters = tmp_path / "batching.txt"
    parameters.write_text("max_batch_size { value: 3 }")
    engine = start_engine(
        f"--model_base_path={tmp_path}", "--enable_batching", f"--batching_parameters_file={parameters}"
    )
    engine.wait_version("half_plus_two", 1)
    assert engine.predict("half_plus_two", instances=[1.0, 2.0, 5.0]) == {"predictions": [2.5, 3.0, 4.5]}
    assert refused(engine, "half_plus_two", instances=[1.0] * 4) == (
        400,
        "Task size 4 is larger than maximum input batch size 3",
    )
    engine.wait_version("scalar", 1)
    assert refused(engine, "scalar", inputs=4) == (
        400,
        "Batching Run() input tensors must have at least one dimension",
    )


@pytest.mark.slow
def test_versions_own_parameters_count_and_one_without_is_not_batched(start_engine, model, tmp_path) -> None:
    model("half_plus_two", "max_batch_size { value: 2 }")
    model("scalar")
    engine = start_engine(
        f"--model_base_path={tmp_path}", "--enable_batching", "--enable_per_model_batching_parameters"
    )
    engine.wait_version("half_plus_two", 1)
    assert refused(engine, "half_plus_two", instances=[1.0] * 3) == (
        400,
        "Task size 3 is larger than maximum input batch size 2",
    )
    engine.wait_version("scalar", 1)
    assert engine.predict("scalar", inputs=4)["outputs"]["y"] == 8.0


@pytest.mark.slow
def test_unusable_parameters_of_a_version_fail_its_load(start_engine, model) -> None:
    base = model("half_plus_two", "max_batch_size: 2")
    engine = start_engine(
        f"--model_base_path={base}",
        "--enable_batching",
        "--enable_per_model_batching_parameters",
        "--max_num_load_retries=0",
    )
    version = engine.wait_version("default", 1)
    assert (version["state"], version["error_code"]) == ("END", "INVALID_ARGUMENT")
    assert version["error_message"] == f"Invalid protobuf file: '{base}/1/{BATCHING_FILE}'"


@pytest.mark.slow
def test_full_queue_is_503_in_upstreams_words(start_engine, model, tmp_path) -> None:
    parameters = "max_batch_size { value: 1 } max_enqueued_batches { value: 2 }"
    base = model("slow", parameters)
    engine = start_engine(
        f"--model_base_path={base}",
        "--model_name=slow",
        "--enable_batching",
        "--enable_per_model_batching_parameters",
        "--lanes=1",
    )
    engine.wait_version("slow", 1)

    def ask(_: int) -> Any:
        return engine.rest.post("/v1/models/slow:predict", content='{"instances": [1.0]}')

    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(ask, range(96)))
    refusals = {(answer.status_code, answer.text) for answer in answers if answer.status_code != 200}
    text = (
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and "
        "max_enqueued_batches is 2"
    )
    assert [(status, json.loads(body)["error"]) for status, body in refusals] == [(503, text)]
    assert any(answer.status_code == 200 for answer in answers)
