"""`:predict` with numpy's files and messages: equal tensors by every encoding, the same limits, errors in JSON."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_tfserve.codec.npy import encode_npy, encode_npz
from jupyter_tfserve.codec.protos import PredictRequest, PredictResponse
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor
from jupyter_tfserve.options import LimitOptions

NPY, NPZ, PROTOBUF = (f"application/x-{kind}" for kind in ("npy", "npz", "protobuf"))
X = np.array([1, 2, 5], np.float32)
LIMITS = LimitOptions()


def message(x: Any = X, alias: str = "x", **spec: Any) -> bytes:
    request = PredictRequest()
    for name, value in spec.items():
        if name == "version":
            request.model_spec.version.value = value
        else:
            setattr(request.model_spec, name, value)
    encode_tensor(x, request.inputs[alias])
    return request.SerializeToString()


def outputs(answer: Any) -> dict[str, np.ndarray[Any, Any]]:
    """What an answer of any type holds; one without names is `y`."""
    assert answer.status == 200, answer.body
    if answer.content_type == PROTOBUF:
        return {
            k: decode_tensor(v, LIMITS) for k, v in PredictResponse.FromString(answer.body).outputs.items()
        }
    if answer.content_type == "application/json":
        found = json.loads(answer.body)["outputs"]
        named = found if isinstance(found, dict) else {"y": found}
        return {alias: np.array(values, np.float32) for alias, values in named.items()}
    loaded = np.load(io.BytesIO(answer.body), allow_pickle=False)
    return dict(loaded.items()) if answer.content_type == NPZ else {"y": loaded}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
async def test_tensors_are_equal_by_every_encoding(rest_once, values: list[float]) -> None:
    x = np.array(values, np.float32)
    bodies = {
        "application/json": json.dumps({"inputs": {"x": x.tolist()}}).encode(),
        NPY: encode_npy(x),
        NPZ: encode_npz({"x": x}),
        PROTOBUF: message(x),
    }
    for sent, body in bodies.items():
        for wanted in bodies:
            answer = await rest_once.predict(body, content_type=sent, accept=wanted)
            assert answer.content_type == wanted
            (y,) = outputs(answer).values()
            assert (y.dtype, y.tolist()) == (np.float32, (x / np.float32(2) + np.float32(2)).tolist())


@pytest.mark.parametrize(
    ("sent", "body", "signature", "given_type"),
    [
        (NPY, encode_npy(X), "", NPY),
        (NPZ, encode_npz({"x": X}), "", NPY),
        (NPY, encode_npy(X), "?signature_name=both", NPZ),
        (PROTOBUF, message(signature_name="both"), "", PROTOBUF),
    ],
)
async def test_answer_is_of_the_requests_kind_when_none_is_named(
    serving_rest, sent: str, body: bytes, signature: str, given_type: str
) -> None:
    async with serving_rest() as rest:
        answer = await rest.ask(
            "POST", f"/v1/models/m:predict{signature}", body, content_type=sent, accept="*/*"
        )
    assert answer.content_type == given_type
    assert outputs(answer)["y"].tolist() == [2.5, 3.0, 4.5]


async def test_rows_keep_their_format_when_only_the_answer_is_named(serving_rest) -> None:
    async with serving_rest() as rest:
        body = b'{"instances": [1.0, 2.0]}'
        rows = await rest.predict(body, accept="application/json, application/x-npy;q=0.5")
        array = await rest.predict(body, accept=NPY)
    assert json.loads(rows.body) == {"predictions": [2.5, 3.0]}
    assert outputs(array)["y"].tolist() == [2.5, 3.0]


async def test_message_names_the_version_and_the_url_as_well(serving_rest) -> None:
    async with serving_rest() as rest:

        async def version(target: str, **spec: Any) -> int:
            body = message(signature_name="version", **spec)
            answer = await rest.ask("POST", f"/v1/models/{target}:predict", body, content_type=PROTOBUF)
            response = PredictResponse.FromString(answer.body)
            assert answer.status == 200
            assert response.outputs["version"].int64_val[0] == response.model_spec.version.value
            return int(response.model_spec.version.value)

        assert await version("m") == 2
        assert await version("m", name="m", version=1) == 1
        assert await version("m", version_label="old") == 1
        assert await version("m/versions/1", version=1) == 1
        assert await version("m/labels/old") == 1


@pytest.mark.parametrize(
    ("target", "sent", "body", "accept", "error"),
    [
        ("m", NPY, b"\x93NUMPY", None, "not a valid .npy file"),
        ("m", NPZ, b"PK", None, "not a valid .npz file"),
        ("m", PROTOBUF, b"\xff", None, "not a tensorflow.serving.PredictRequest"),
        ("m", PROTOBUF, message(name="other"), None, "something else than the URL"),
        ("m/versions/1", PROTOBUF, message(version=2), None, "something else than the URL"),
        ("m", NPY, encode_npy(np.zeros(2)), None, "expected to be float, but double"),
        ("m", NPY, encode_npy(X), "signature both", "one tensor; the signature's outputs are y, same"),
        ("m", NPY, encode_npy(X), "signature nobody", 'Serving signature name: "nobody" not found'),
        ("m", PROTOBUF, message(np.array([b"a"], object), "s", signature_name="echo"), NPZ, "of strings"),
    ],
)
async def test_error_is_json_and_names_the_fault(
    serving_rest, target: str, sent: str, body: bytes, accept: str | None, error: str
) -> None:
    async with serving_rest() as rest:
        query = ""
        if accept and accept.startswith("signature "):
            query, accept = f"?signature_name={accept.split()[1]}", NPY
        headers = {"content_type": sent} | ({"accept": accept} if accept else {})
        answer = await rest.ask("POST", f"/v1/models/{target}:predict{query}", body, **headers)
    assert (answer.status, answer.content_type) == (400, "application/json")
    assert error in json.loads(answer.body)["error"]


async def test_tensors_over_the_limit_are_429_in_every_encoding(serving_rest) -> None:
    async with serving_rest(LimitOptions(max_tensor_bytes=11)) as rest:
        for sent, body in ((NPY, encode_npy(X)), (NPZ, encode_npz({"x": X})), (PROTOBUF, message())):
            answer = await rest.predict(body, content_type=sent)
            assert answer.status == 429
            assert "max_tensor_bytes is 11" in json.loads(answer.body)["error"]


async def test_large_body_is_answered_and_timed(serving_rest) -> None:
    x = np.arange(100_000, dtype=np.float32)
    async with serving_rest() as rest:
        answer = await rest.predict(
            gzip.compress(encode_npy(x), 1), content_type=NPY, content_encoding="gzip", x_tfserve_timing="1"
        )
    assert outputs(answer)["y"].tolist() == (x / 2 + 2).tolist()
    assert "total" in answer.headers["Server-Timing"]


@pytest.mark.parametrize(
    ("count", "asked", "is_gzip"),
    [
        (3, "gzip", False),
        (2000, "gzip", True),
        (20_000, "br, gzip", True),
        (2000, "br", False),
        (2000, None, False),
    ],
)
async def test_answer_is_compressed_when_asked_for_and_worth_it(
    serving_rest, count: int, asked: str | None, is_gzip: bool
) -> None:
    body = json.dumps({"instances": [index / 8 for index in range(count)]}).encode()
    async with serving_rest() as rest:
        answer = await rest.predict(body, **({"accept_encoding": asked} if asked else {}))
    plain = gzip.decompress(answer.body) if is_gzip else answer.body
    assert len(json.loads(plain)["predictions"]) == count
    assert (answer.headers.get("Content-Encoding") == "gzip") is is_gzip
    assert ("Vary" in answer.headers) is (asked is not None and count > 3)
