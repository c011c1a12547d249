"""The configuration example in JSON, as it is printed, and with a folder of this machine in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.config_proto import parse_config
from tests.contract.engines import running_engine, wait_loaded

TEXT = (
    '{"model_config_list":{"config":[{"name":"my_model","base_path":"/models/my_model",'
    '"model_platform":"tensorflow"}]}}'
)


def test_json_config_is_read_as_written() -> None:
    assert parse_config(TEXT) == (ModelConfig("my_model", "/models/my_model"),)


def test_json_config_starts_a_server_as_written(tmp_path) -> None:
    if Path("/models/my_model").exists():
        pytest.skip("this machine has the folder of the example")
    config = tmp_path / "models.json"
    config.write_text(TEXT)
    with running_engine(tmp_path, f"--model_config_file={config}") as engine:
        (model,) = engine.call("GET", "/control/state")["models"]
        assert (model["name"], model["base_path"]) == ("my_model", "/models/my_model")
        answer = engine.rest.post("/v1/models/my_model:predict", content='{"instances": [1.0]}')
        assert (answer.status_code, answer.json()["error"]) == (
            404,
            "Servable not found for request: Latest(my_model)",
        )


def test_json_config_s_model_predicts(example_models, tmp_path) -> None:
    document = json.loads(TEXT)
    document["model_config_list"]["config"][0]["base_path"] = str(example_models / "regression_experiments")
    config = tmp_path / "models.json"
    config.write_text(json.dumps(document))
    with running_engine(tmp_path, f"--model_config_file={config}") as engine:
        wait_loaded(engine, "my_model")
        assert engine.predict("my_model", instances=[[3.0]]) == {"predictions": [[2.0]]}
