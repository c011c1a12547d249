"""Programs that know nothing of us but a URL: each reads a digit from an image, by REST or gRPC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.clients.conftest import HERE, needed
from tests.clients.digits import render

URL = "http://localhost:8501/v1/models/MLP:predict"


def printed(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("digit", [0, 3, 7])
def test_python_requests_reads_a_digit(as_written, digit_files, digit: int) -> None:
    pytest.importorskip("requests")
    image = digit_files / f"{digit}.png"
    assert printed(sys.executable, HERE / "mlp_requests.py", image, as_written(URL)) == str(digit)


def test_custom_signature_is_called_by_its_name(examples_engine) -> None:
    """What `tf.saved_model.save(model, path, signatures={"call": model.call})` wrote."""
    images = [(render(digit) / 255).tolist() for digit in range(10)]
    body = json.dumps({"signature_name": "call", "instances": images})
    answer = examples_engine.rest.post("/v1/models/MLP_call:predict", content=body)
    assert np.argmax(answer.json()["predictions"], axis=1).tolist() == list(range(10))
    without = examples_engine.rest.post(
        "/v1/models/MLP_call:predict", content=json.dumps({"instances": images})
    )
    assert (without.status_code, without.json()["error"]) == (
        400,
        'Serving signature name: "serving_default" not found in signature def',
    )


@pytest.mark.parametrize("digit", [1, 4, 9])
def test_node_s_fetch_reads_a_digit(as_written, digit_files, digit: int) -> None:
    node = needed("node")
    assert printed(node, HERE / "node" / "fetch.js", digit_files / f"{digit}.pgm", as_written(URL)) == str(
        digit
    )


@pytest.mark.slow
@pytest.mark.parametrize("digit", [2, 5, 8])
def test_node_with_jimp_and_superagent_reads_a_digit(
    as_written, digit_files, node_folder, digit: int
) -> None:
    node = needed("node")
    image = digit_files / f"{digit}.png"
    assert printed(node, node_folder / "jimp_superagent.js", image, as_written(URL)) == str(digit)


def test_node_is_told_the_error(as_written, digit_files) -> None:
    node = needed("node")
    command = [node, HERE / "node" / "fetch.js", digit_files / "1.pgm", as_written(URL.replace("MLP", "no"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Servable not found for request: Latest(no)" in done.stderr


@pytest.mark.slow
def test_grpc_client_sends_jpeg_files_as_they_are(examples_engine, digit_files) -> None:
    files = [digit_files / f"{digit}.jpg" for digit in range(10)]
    assert all(file.read_bytes().startswith(b"\xff\xd8\xff") for file in files)
    answer = printed(sys.executable, HERE / "jpeg_grpc.py", examples_engine.connection.grpc_address, *files)
    assert answer == "0 1 2 3 4 5 6 7 8 9"


def test_models_of_custom_functions_tell_their_signatures(examples_engine) -> None:
    """Saved by `tf.saved_model.save` of a Keras 3 model: TensorFlow Serving loses their variables at the load."""
    document = examples_engine.rest.get("/v1/models/MLP_call/metadata").json()
    (key, signature), *others = document["metadata"]["signature_def"]["signature_def"].items()
    assert (key, others) == ("call", [])
    assert signature["method_name"] == "tensorflow/serving/predict"
    shape = [dimension["size"] for dimension in signature["inputs"]["images"]["tensor_shape"]["dim"]]
    assert (signature["inputs"]["images"]["dtype"], shape) == ("DT_FLOAT", ["-1", "28", "28"])
    assert list(signature["outputs"]) == ["probabilities"]
