"""The tutorials' curl calls, run by a shell as they are printed there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.conftest import needed

MODEL = "http://localhost:8501/v1/models/regression_experiments"
BODY = '{"signature_name": "serving_default", "instances": [[20.0], [0.5], [-3]]}'
POST = f"curl -s -X POST -H 'Content-Type: application/json' -d '{BODY}'"
AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.fixture
def shell(as_written) -> Callable[[str], Any]:
    """The JSON that a command line prints."""
    needed("curl")

    def run(command: str) -> Any:
        done = subprocess.run(
            ["bash", "-c", as_written(command)], capture_output=True, text=True, check=True, timeout=60
        )
        return json.loads(done.stdout)

    return run


def test_curl_reads_the_status(shell) -> None:
    both = [{"version": version, **AVAILABLE} for version in ("2", "1")]
    assert shell(f"curl -s {MODEL}") == {"model_version_status": both}
    assert shell(f"curl -s {MODEL}/versions/1") == {"model_version_status": both[1:]}
    assert shell(f"curl -s {MODEL}/labels/production") == {"model_version_status": both[1:]}


@pytest.mark.parametrize(
    ("where", "slope"), [("", 1.0), ("/versions/1", 2.0), ("/versions/2", 1.0), ("/labels/production", 2.0)]
)
def test_curl_asks_latest_version_and_label(shell, where: str, slope: float) -> None:
    answer = shell(f"{POST} {MODEL}{where}:predict")
    assert answer == {"predictions": [[slope * x - 1] for x in (20.0, 0.5, -3.0)]}


def test_curl_is_told_what_is_malformed(shell) -> None:
    for wrong in ("1", "production"):
        answer = shell(f"{POST} {MODEL}/{wrong}:predict")
        assert answer["error"] == f"Malformed request: POST /v1/models/regression_experiments/{wrong}:predict"
        assert "/versions/N | /labels/LABEL]:predict" in answer["hint"]


def test_curl_reads_the_metadata(shell) -> None:
    answer = shell(f"curl -s {MODEL}/metadata")
    assert answer["model_spec"] == {"name": "regression_experiments", "signature_name": "", "version": "2"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
