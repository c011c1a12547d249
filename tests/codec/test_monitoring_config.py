"""monitoring_config: MonitoringConfig text protos."""

from __future__ import annotations

import pytest

from jupyter_tfserve.codec.monitoring_config import DEFAULT_PATH, parse_monitoring_config
from jupyter_tfserve.errors import Code, ServingError


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ("prometheus_config { }", ""),
        ('prometheus_config { path: "/metrics" }', ""),
        ("prometheus_config { enable: true }", DEFAULT_PATH),
        ('prometheus_config: { enable: true, path: "/metrics" } # why', "/metrics"),
    ],
)
def test_path_is_the_configs_when_enabled(text, path):
    assert parse_monitoring_config(text, "f") == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prometheus_config { enabled: true }", "Invalid protobuf file: 'f'"),
        ("prometheus_config {", "Invalid protobuf file: 'f'"),
        (
            'prometheus_config { enable: true path: "metrics" }',
            "'f': the path of prometheus_config must be one of",
        ),
        (
            'prometheus_config { enable: true path: "/a?b" }',
            "'f': the path of prometheus_config must be one of",
        ),
    ],
)
def test_config_is_refused_when_it_is_none(text, message):
    with pytest.raises(ServingError) as caught:
        parse_monitoring_config(text, "f")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.startswith(message)
