"""LoggingConfig as a value: round trip, checks, and the rate that holds for this server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig, validate_models
from jupyter_tfserve.lifecycle.config_proto import json_from_models, models_from_json, parse_config
from jupyter_tfserve.lifecycle.request_logging import RequestLogging, TaskSampling

LOGGING = RequestLogging("tfrecord", "/logs/m", 0.5)
CONFIG = """
model_config_list { config {
  name: "m" base_path: "/m" model_platform: "tensorflow"
  logging_config {
    log_collector_config { type: "tfrecord" filename_prefix: "/logs/m" }
    sampling_config {
      sampling_rate: 0.25
      attributes: 3
      per_task_sampling_configs { dc: "ab" sampling_rate: 1 }
      per_task_sampling_configs { task_index: 0 sampling_rate: 0.75 }
    }
  }
} }
"""


def test_every_field_survives_the_way_to_the_store_and_back() -> None:
    models = parse_config(CONFIG)
    assert models is not None
    assert models[0].logging == RequestLogging(
        "tfrecord", "/logs/m", 0.25, (TaskSampling("ab", None, 1), TaskSampling("", 0, 0.75)), 3
    )
    assert models_from_json(json_from_models(models)) == models


def test_model_without_a_logging_config_has_none() -> None:
    models = parse_config(
        'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" } }'
    )
    assert models is not None
    assert models[0].logging is None


@pytest.mark.parametrize(
    ("tasks", "rate"),
    [
        ((), 0.5),
        ((TaskSampling("", 0, 0.75),), 0.75),
        ((TaskSampling("", None, 0.0),), 0.0),
        ((TaskSampling("", 1, 0.75),), 0.5),
        ((TaskSampling("ab", 0, 0.75),), 0.5),
        ((TaskSampling("", 1, 0.1), TaskSampling("", 0, 0.2), TaskSampling("", None, 0.3)), 0.2),
    ],
)
def test_first_entry_for_task_zero_overrides_the_rate(tasks: tuple[TaskSampling, ...], rate: float) -> None:
    assert replace(LOGGING, per_task=tasks).rate == rate


@pytest.mark.parametrize(
    ("logging", "code", "message"),
    [
        (
            replace(LOGGING, collector_type="file"),
            Code.NOT_FOUND,
            "Cannot find LogCollector::Factory for type: file",
        ),
        (
            replace(LOGGING, filename_prefix="logs/m"),
            Code.INVALID_ARGUMENT,
            "Expected an absolute log_collector_config.filename_prefix; got logs/m",
        ),
        (
            replace(LOGGING, sampling_rate=1.5),
            Code.INVALID_ARGUMENT,
            "sampling_rate must be between 0 and 1; was 1.5",
        ),
        (
            replace(LOGGING, per_task=(TaskSampling("", 7, float("nan")),)),
            Code.INVALID_ARGUMENT,
            "sampling_rate must be between 0 and 1; was nan",
        ),
    ],
)
def test_impossible_logging_refuses_the_whole_config(
    logging: RequestLogging, code: Code, message: str
) -> None:
    with pytest.raises(ServingError) as caught:
        validate_models([ModelConfig("n", "/n"), ModelConfig("m", "/m", logging=logging)], {})
    assert (caught.value.code, caught.value.message) == (code, message)


def test_possible_logging_passes() -> None:
    validate_models([ModelConfig("m", "/m", logging=LOGGING)], {})
