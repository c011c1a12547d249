"""`--monitoring_config_file`: a text MonitoringConfig, which says whether and where Prometheus may read. Pure."""

from __future__ import annotations

from typing import Final

from jupyter_tfserve.codec.described_messages import message_class, parse_text
from jupyter_tfserve.errors import invalid_argument

DEFAULT_PATH: Final = "/monitoring/prometheus/metrics"
_PACKAGE: Final = "jupyter_tfserve.monitoring"
_MESSAGES: Final = {
    f"{_PACKAGE}.PrometheusConfig": {"enable": "bool", "path": "string"},
    f"{_PACKAGE}.MonitoringConfig": {"prometheus_config": f"{_PACKAGE}.PrometheusConfig"},
}


def parse_monitoring_config(text: str, file: str) -> str:
    """The path of the metrics, empty if they are not enabled. INVALID_ARGUMENT for what is no such config."""
    message = message_class(f"{_PACKAGE}.MonitoringConfig", _MESSAGES)()
    config = parse_text(text, message, file).prometheus_config
    if not config.enable:
        return ""
    path = str(config.path) or DEFAULT_PATH
    if not path.startswith("/") or not path.isascii() or any(sign in path for sign in "?# \n"):
        raise invalid_argument(f"'{file}': the path of prometheus_config must be one of a URL; was '{path}'")
    return path
