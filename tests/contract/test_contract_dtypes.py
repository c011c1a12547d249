"""REST and gRPC are two spellings of one prediction: every dtype comes back the same over both."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.dtypes import numpy_dtype
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor
from jupyter_tfserve.options import LimitOptions
from tests.contract.echo import DTYPES, JSON_DTYPES

ASK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def column(dtype: str, rows: int) -> st.SearchStrategy[Any]:
    """Any tensor of so many elements."""
    if dtype == "string":
        # What JSON can carry in both directions; arbitrary bytes travel as base64, which has its own test.
        texts = st.text(st.characters(codec="utf-8"), max_size=6).map(str.encode)
        return st.lists(texts, min_size=rows, max_size=rows).map(
            lambda values: np.array([*values, None], object)[:-1]
        )
    if dtype == "bfloat16":
        return arrays(np.uint16, rows).map(lambda bits: bits.view(ml_dtypes.bfloat16))
    return arrays(numpy_dtype(dtype), rows)


@st.composite
def table(draw: Any, dtypes: tuple[str, ...], min_rows: int = 0) -> dict[str, Any]:
    """A tensor for each dtype, all with as many rows."""
    rows = draw(st.integers(min_rows, 4))
    return {dtype: draw(column(dtype, rows)) for dtype in dtypes}


def listed(tensor: Any) -> list[Any]:
    """The elements as Python's json writes them."""
    if tensor.dtype == object:
        return [text.decode() for text in tensor]
    if tensor.dtype.kind in "bui":
        return list(tensor.tolist())
    return [float(value) for value in tensor]


def read(dtype: str, values: list[Any]) -> Any:
    """A JSON answer's elements as a tensor."""
    if dtype == "string":
        return np.array([*(text.encode() for text in values), None], object)[:-1]
    is_float = numpy_dtype(dtype).kind in "fV"
    with np.errstate(over="ignore"):
        return np.array(values, np.float64 if is_float else numpy_dtype(dtype)).astype(numpy_dtype(dtype))


def same(one: Any, other: Any) -> bool:
    """Equal in dtype, shape and every element; any NaN is like any other."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind in "fcV" or one.dtype.name == "bfloat16":
        kind = np.complex128 if one.dtype.kind == "c" else np.float64
        one, other = one.astype(kind), other.astype(kind)
        is_sign_kept = bool(np.array_equal(np.signbit(one.real), np.signbit(other.real)))
        return bool(np.array_equal(one, other, equal_nan=True)) and (is_sign_kept or np.isnan(one).any())
    return bool(np.array_equal(one, other))


def over_grpc(prediction: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    request = protos.PredictRequest()
    request.model_spec.name = "echo"
    for dtype in DTYPES:
        tensor = tensors.get(dtype, np.empty(0, numpy_dtype(dtype)))
        encode_tensor(tensor, request.inputs[dtype])
    response = prediction.Predict(request, timeout=30)
    return {dtype: decode_tensor(response.outputs[dtype], LimitOptions()) for dtype in tensors}


def over_rest(engine: Any, body: Any) -> Any:
    answer = engine.rest.post("/v1/models/json_echo:predict", content=json.dumps(body))
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content)


@ASK
@given(table(DTYPES))
def test_every_dtype_comes_back_over_grpc(prediction, tensors: dict[str, Any]) -> None:
    answered = over_grpc(prediction, tensors)
    assert [dtype for dtype in DTYPES if not same(answered[dtype], tensors[dtype])] == []


@ASK
@given(table(JSON_DTYPES))
def test_columns_over_rest_equal_grpc(engine, prediction, tensors: dict[str, Any]) -> None:
    columns = {dtype: listed(tensor) for dtype, tensor in tensors.items()}
    outputs = over_rest(engine, {"inputs": columns})["outputs"]
    answered = over_grpc(prediction, tensors)
    told = {dtype: read(dtype, outputs[dtype]) for dtype in JSON_DTYPES}
    assert [dtype for dtype in JSON_DTYPES if not same(told[dtype], answered[dtype])] == []


@ASK
@given(table(JSON_DTYPES, 1))
def test_rows_over_rest_equal_grpc(engine, prediction, tensors: dict[str, Any]) -> None:
    columns = {dtype: listed(tensor) for dtype, tensor in tensors.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    predictions = over_rest(engine, {"instances": rows})["predictions"]
    answered = over_grpc(prediction, tensors)
    told = {dtype: read(dtype, [row[dtype] for row in predictions]) for dtype in JSON_DTYPES}
    assert [dtype for dtype in JSON_DTYPES if not same(told[dtype], answered[dtype])] == []


@ASK
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=4))
def test_any_bytes_travel_as_base64(engine, values: list[bytes]) -> None:
    """In any string; out as base64 where the output's name ends in `_bytes`, as they are elsewhere."""
    rows = [{"text": {"b64": b64encode(value).decode()}, "suffix": {"b64": ""}} for value in values]
    answer = engine.rest.post("/v1/models/strings:predict", content=json.dumps({"instances": rows}))
    predictions = json.loads(answer.content.decode(errors="surrogateescape"))["predictions"]
    assert [row["joined"].encode(errors="surrogateescape") for row in predictions] == values
    assert [b64decode(row["upper_bytes"]["b64"]) for row in predictions] == [v.upper() for v in values]
