"""A config file: followed while the engine runs, and what a refused one changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.contract.engines import config_text

# Config files


def json_config(models: dict[str, Path]) -> str:
    entries = [
        {"name": name, "base_path": str(path), "model_platform": "tensorflow"}
        for name, path in models.items()
    ]
    return json.dumps({"model_config_list": {"config": entries}})


@pytest.mark.slow
@pytest.mark.parametrize("write", [config_text, json_config])
def test_config_file_is_followed_and_a_bad_one_changes_nothing(
    saved_models, start_engine, eventually, tmp_path, write
) -> None:
    file = tmp_path / "models.config"
    half, version = saved_models / "half_plus_two", saved_models / "version"
    file.write_text(write({"a": half, "b": version}))
    engine = start_engine(f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1")
    assert engine.predict("a", instances=[1.0]) == {"predictions": [2.5]}
    assert engine.predict("b", instances=[[1.0]])["predictions"][0]["version"] == 3

    file.write_text(write({"b": version, "c": half}))
    eventually(
        lambda: engine.rest.post("/v1/models/a:predict", content='{"instances": [1]}').status_code == 404
    )
    assert engine.predict("c", instances=[1.0]) == {"predictions": [2.5]}

    file.write_text(write({"d": half}).replace("tensorflow", "caffe"))
    eventually(lambda: "PollFilesystemAndReloadConfig failed to ReloadConfig" in engine.log.read_text())
    file.write_text("}")
    eventually(lambda: "Failed to read ModelServerConfig file" in engine.log.read_text())
    assert {model["name"] for model in engine.call("GET", "/control/state")["models"]} == {"b", "c"}
    assert engine.predict("b", instances=[[1.0]])["predictions"][0]["version"] == 3

    # A rejected configuration leaves no trace: the next good one works.
    file.write_text(write({"a": half}))
    eventually(
        lambda: engine.rest.post("/v1/models/a:predict", content='{"instances": [1]}').status_code == 200
    )


def test_refused_config_at_start_is_never_ready_and_a_file_uri_is_served(
    saved_models, start_engine, tmp_path
) -> None:
    """A label on a version that is not loaded yet refuses the whole config; a probe must not call that ready."""
    entry = f'name: "m" base_path: "file://{saved_models}/half_plus_two" model_platform: "tensorflow"'
    config = tmp_path / "models.config"
    config.write_text(f'model_config_list {{ config {{ {entry} version_labels {{ key: "a" value: 1 }} }} }}')
    refused = start_engine(f"--model_config_file={config}")
    assert refused.rest.get("/readyz").status_code == 503
    assert refused.rest.post("/v1/models/m:predict", content='{"instances": [1.0]}').status_code == 404
    config.write_text(f"model_config_list {{ config {{ {entry} }} }}")
    served = start_engine(f"--model_config_file={config}")
    assert served.predict("m", instances=[1.0]) == {"predictions": [2.5]}
    assert served.rest.get("/readyz").status_code == 200
