"""The contract's models, made once, and an engine that serves all of them to every test that only asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from jupyter_tfserve.codec.protos import ModelServiceStub, PredictionServiceStub
from tests.conftest import run_maker
from tests.contract.engines import running_engine, wait_loaded
from tests.running_engine import RunningEngine

LABELS = {"half_plus_two": {"stable": 123}, "half_plus_two_2_versions": {"old": 123, "new": 124}}
SERVED = (
    "half_plus_two",
    "half_plus_two_2_versions",
    "half_plus_two_tf2",
    "half_plus_three",
    "matrix_half_plus_two",
    "odd_signatures",
    "odd_outputs",
    "counter",
    "echo",
    "json_echo",
    "fail_run",
    "multi_io",
    "strings",
)


@pytest.fixture(scope="session")
def contract_models(once) -> Path:
    """The folder that has NAME/VERSION of every contract model."""
    return once("contract_models", lambda folder: run_maker("-m", "tests.contract.models", folder))


@pytest.fixture(scope="session")
def engine(contract_models, tmp_path_factory) -> Iterator[RunningEngine]:
    """Serves `SERVED`, with `LABELS`; nothing is changed on it."""
    folder = tmp_path_factory.mktemp("contract_engine")
    config = folder / "models.config"
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{contract_models / name}" model_platform: "tensorflow" '
        f"model_version_policy {{ all {{}} }} }}\n"
        for name in SERVED
    )
    config.write_text(f"model_config_list {{ {entries} }}")
    with running_engine(
        folder,
        f"--model_config_file={config}",
        "--enable_grpc_healthcheck_service",
        "--file_system_poll_wait_seconds=0",
    ) as running:
        wait_loaded(running, *SERVED)
        for model, labels in LABELS.items():
            for label, version in labels.items():
                running.wait_version(model, version)
                running.call("PUT", f"/control/models/{model}/labels/{label}", version=version)
        yield running


@pytest.fixture(scope="session")
def channel(engine) -> Iterator[grpc.Channel]:
    """A plain connection to the engine's gRPC port."""
    with grpc.insecure_channel(engine.connection.grpc_address) as opened:
        yield opened


@pytest.fixture(scope="session")
def prediction(channel) -> PredictionServiceStub:
    """The PredictionService of tensorflow-serving-api, unmodified."""
    return PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def models(channel) -> ModelServiceStub:
    """The ModelService of tensorflow-serving-api, unmodified."""
    return ModelServiceStub(channel)
