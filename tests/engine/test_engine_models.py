"""Every kind of SavedModel, served whole: REST and gRPC answer what TensorFlow itself computes."""

from __future__ import annotations

import base64
import json
from typing import Any

import grpc
import ml_dtypes
import numpy as np
import pytest

from jupyter_tfserve.codec.protos import (
    GetModelMetadataRequest,
    GetModelStatusRequest,
    ModelServiceStub,
    PredictionServiceStub,
    PredictRequest,
    SignatureDefMap,
)
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor
from jupyter_tfserve.options import LimitOptions

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "half_plus_two": ("half_plus_two", "serving_default", {"x": np.float32([1, 2, 5])}),
    "keras export": ("keras", "serving_default", {}),
    "three floats": ("three_floats", "serving_default", {"x": np.float32([[1, 2, 3], [0.1, 1 / 3, 1e-7]])}),
    "dense 784": ("dense784", "serving_default", {"x": np.linspace(-1, 1, 3 * 784, dtype="f4").reshape(3, 784)}),
    "strings": (
        "strings",
        "serving_default",
        {"text": np.array([b"hi", b"", "ü".encode()], object), "suffix": np.array([b"!", b"\x00", b"?"], object)},
    ),
    "binary strings": (
        "strings",
        "serving_default",
        {"text": np.array([b"\xff\x00"], object), "suffix": np.array([b"\xfe"], object)},
    ),
    "several inputs": (
        "multi_io",
        "serving_default",
        {"a": np.float32([[1, 2], [3, 4]]), "b": np.float32([[0, 9], [1, 1]])},
    ),
    "scalar": ("scalar", "serving_default", {"x": np.float32(2.5)}),
    "unbatched": ("unbatched", "serving_default", {"x": np.float32([1, 2, 3])}),
    "second signature": ("two_signatures", "triple", {"x": np.float32([1, 2])}),
    "asset": ("vocabulary", "serving_default", {"word": np.array([b"green", b"pink"], object)}),
    "tensorflow 1": ("tf1", "serving_default", {"x": np.float32([[1, 2], [3, 4]])}),
    "dependent rows": ("cumsum", "serving_default", {"x": np.float32([1, 2, 3])}),
    "empty batch": ("half_plus_two", "serving_default", {"x": np.float32([])}),
    "not finite": ("half_plus_two", "serving_default", {"x": np.float32([np.nan, np.inf, -np.inf])}),
    "every dtype": (
        "echo",
        "serving_default",
        {
            "float": np.float32([0, -1.5, 3.4e38]), "double": np.float64([0, 1 / 3, -1e300]),
            "half": np.float16([0, 1.5, -65504]), "bfloat16": np.array([0, 1.5, -3e38], ml_dtypes.bfloat16),
            "int8": np.int8([-128, 0, 127]), "int16": np.int16([-32768, 0, 32767]),
            "int32": np.int32([-(2**31), 0, 2**31 - 1]), "int64": np.int64([-(2**63), 0, 2**63 - 1]),
            "uint8": np.uint8([0, 1, 255]), "uint16": np.uint16([0, 1, 65535]),
            "uint32": np.uint32([0, 1, 2**32 - 1]), "uint64": np.uint64([0, 1, 2**64 - 1]),
            "bool": np.array([True, False, True]), "string": np.array([b"", b"a", b"\x00\xff"], object),
            "complex64": np.complex64([0, 1 + 2j, -1j]), "complex128": np.complex128([0, 1 + 2j, -1j]),
        },
    ),
}  # fmt: skip
NOT_IN_JSON = {"every dtype", "binary strings"}
"""JSON has no complex numbers, and no bytes but in base64."""


@pytest.fixture(scope="module")
def models(saved_models):
    """Only what loads well, each model a link: the others have tests of their own."""
    folder = saved_models.parent / "served"
    folder.mkdir(exist_ok=True)
    for name in {case[0] for case in CASES.values()} | {"counter", "version"}:
        link = folder / name
        if not link.exists():
            link.symlink_to(saved_models / name)
    return folder


def inputs_of(name: str) -> tuple[str, str, dict[str, Any]]:
    model, key, inputs = CASES[name]
    return model, key, inputs or {"keras_tensor": np.float32([[1, 2, 3, 4], [0.5, 0, -1, 2]])}


def as_json(array: Any) -> Any:
    if isinstance(array, bytes):
        return {"b64": base64.b64encode(array).decode()}
    return [as_json(entry) for entry in array] if np.ndim(array) else getattr(array, "item", lambda: array)()


def from_json(value: Any, like: np.ndarray) -> np.ndarray:
    if like.dtype == object:
        return np.vectorize(string_of, otypes=[object])(np.array(value, object).reshape(like.shape))
    return np.array(value, like.dtype).reshape(np.shape(value) if like.size else like.shape)


def string_of(value: Any) -> bytes:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def assert_same(answer: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> None:
    assert answer.keys() == truth.keys()
    for alias, want in truth.items():
        got = answer[alias]
        assert got.shape == want.shape, alias
        if want.dtype == object:
            assert got.tolist() == want.tolist(), alias
        else:
            wide = np.complex128 if want.dtype.kind == "c" else np.float64
            np.testing.assert_allclose(got.astype(wide), want.astype(wide), rtol=1e-5, err_msg=alias)


def grpc_answer(engine, model: str, key: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    request = PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, key
    for alias, tensor in inputs.items():
        encode_tensor(np.asarray(tensor), request.inputs[alias])
    with grpc.insecure_channel(engine.connection.grpc_address) as channel:
        response = PredictionServiceStub(channel).Predict(request, timeout=60)
    assert response.model_spec.signature_name == key
    return {alias: decode_tensor(proto, LimitOptions()) for alias, proto in response.outputs.items()}


def rest_answer(engine, model: str, key: str, inputs: dict[str, Any], truth: dict[str, np.ndarray]):
    body = {"signature_name": key, "inputs": {alias: as_json(tensor) for alias, tensor in inputs.items()}}
    answer = engine.predict(model, **body)["outputs"]
    named = answer if len(truth) > 1 else {next(iter(truth)): answer}
    return {alias: from_json(value, truth[alias]) for alias, value in named.items()}


@pytest.mark.slow
def test_every_kind_of_model_answers_as_tensorflow_does(models, start_engine, run_reference) -> None:
    engine = start_engine(f"--model_base_path={models}")
    asked = [inputs_of(name) for name in CASES]
    engine.wait_version("keras", 1)
    signatures = engine.control.get("/control/models/keras/signatures").json()["signatures"]
    (alias,) = signatures["serving_default"]["inputs"]
    asked = [(m, k, {alias: i["keras_tensor"]} if "keras_tensor" in i else i) for m, k, i in asked]
    truths = run_reference([(str(models / model / "1"), key, inputs) for model, key, inputs in asked])
    for name, (model, key, inputs), truth in zip(CASES, asked, truths, strict=True):
        assert_same(grpc_answer(engine, model, key, inputs), truth)
        if name not in NOT_IN_JSON:
            assert_same(rest_answer(engine, model, key, inputs, truth), truth)


@pytest.mark.slow
def test_rows_json_shapes_and_texts_of_the_contract(models, start_engine) -> None:
    engine = start_engine(f"--model_base_path={models}")
    assert engine.predict("half_plus_two", instances=[1.0, 2.0, 5.0]) == {"predictions": [2.5, 3.0, 4.5]}
    assert engine.predict("half_plus_two", inputs=[2.0, 3.0, 4.0]) == {"outputs": [3.0, 3.5, 4.0]}
    rows = [{"text": "a", "suffix": "b"}, {"text": {"b64": "eA=="}, "suffix": ""}]
    assert engine.predict("strings", instances=rows) == {
        "predictions": [
            {"joined": "ab", "upper_bytes": {"b64": "QQ=="}},
            {"joined": "x", "upper_bytes": {"b64": "WA=="}},
        ]
    }
    assert engine.predict("scalar", inputs=4) == {"outputs": {"name": "two\0", "y": 8.0}}

    def refused(path: str, body: str) -> tuple[int, str]:
        answer = engine.rest.post(path, content=body)
        return answer.status_code, answer.json()["error"]

    one = '{"instances": [1.0]}'
    assert refused("/v1/models/half:predict", one) == (404, "Servable not found for request: Latest(half)")
    assert refused("/v1/models/tf1/versions/9:predict", one) == (
        404,
        "Servable not found for request: Specific(tf1, 9)",
    )
    assert refused("/v1/models/tf1/labels/x:predict", one) == (400, "Unrecognized servable version label: x")
    assert refused("/v1/models/tf1/version/1:predict", one) == (
        400,
        "Malformed request: POST /v1/models/tf1/version/1:predict",
    )
    assert refused("/v1/models/tf1:predict", '{"signature_name": "s", "instances": [1]}') == (
        400,
        'Serving signature name: "s" not found in signature def',
    )
    assert refused("/v1/models/tf1:predict", "instances = [1]") == (
        400,
        "JSON Parse error: Invalid value. at offset: 0",
    )
    assert refused("/v1/models/tf1:predict", '{"instances": ["x"]}') == (
        400,
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
        'JSON Value: "x" Type: String is not of expected type: float',
    )
    assert refused("/v1/models/counter:predict", '{"signature_name": "get_counter", "inputs": {}}') == (
        400,
        "Failed to get input map for signature: get_counter",
    )
    assert engine.rest.get("/v1/foo").status_code == 400
    assert engine.rest.get("/v2/models").status_code == 404
    assert engine.rest.get("/healthz").status_code == 200
    # A zero-input signature can be called over gRPC.
    assert grpc_answer(engine, "counter", "incr_counter", {})["output"] == 1.0
    assert grpc_answer(engine, "counter", "incr_counter_by", {"delta": np.float32(3)})["output"] == 4.0


@pytest.mark.slow
def test_status_metadata_and_listing(models, start_engine, eventually) -> None:
    engine = start_engine(f"--model_base_path={models}")
    engine.wait_version("version", 3)
    eventually(lambda: engine.rest.get("/readyz").status_code == 200)
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert engine.rest.get("/v1/models/version").json() == {
        "model_version_status": [{"version": "3", **available}]
    }
    metadata = engine.rest.get("/v1/models/version/versions/3/metadata").json()
    assert metadata["model_spec"] == {"name": "version", "signature_name": "", "version": "3"}
    serving = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert serving["inputs"]["x"]["dtype"] == "DT_FLOAT"
    listed = {model["name"]: model for model in engine.rest.get("/v1/models").json()["models"]}
    assert {"version", "half_plus_two", "counter"} <= set(listed)
    # No path and no process of the host.
    assert listed["version"] == {
        "name": "version", "labels": {}, "versions": [{"version": 3, "state": "AVAILABLE"}]
    }  # fmt: skip

    with grpc.insecure_channel(engine.connection.grpc_address) as channel:
        request = GetModelStatusRequest()
        request.model_spec.name = "version"
        (status,) = ModelServiceStub(channel).GetModelStatus(request, timeout=30).model_version_status
        assert (status.version, status.state, status.status.error_code) == (3, 30, 0)
        wanted = GetModelMetadataRequest(metadata_field=["signature_def"])
        wanted.model_spec.name = "version"
        answer = PredictionServiceStub(channel).GetModelMetadata(wanted, timeout=30)
        signatures = SignatureDefMap()
        assert answer.metadata["signature_def"].Unpack(signatures)
        assert "serving_default" in signatures.signature_def


def test_curl_gets_an_answer(models, start_engine) -> None:
    import subprocess

    engine = start_engine(f"--model_base_path={models}/half_plus_two", "--model_name=half_plus_two")
    url = f"{engine.connection.rest_url}/v1/models/half_plus_two:predict"
    body = '{"instances": [1.0, 2.0, 5.0]}'
    done = subprocess.run(["curl", "-s", "-d", body, "-X", "POST", url], capture_output=True, check=True)
    assert json.loads(done.stdout) == {"predictions": [2.5, 3.0, 4.5]}
