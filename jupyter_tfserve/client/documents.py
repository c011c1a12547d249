"""REST documents between numpy and JSON, on the caller's side of the socket. Pure; imports no TensorFlow."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import orjson

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import Signature, Tensor


def encode_body(document: Mapping[str, Any]) -> bytes:
    """The document as TensorFlow Serving's JSON: arrays as lists, bytes as `{"b64": …}`, NaN as NaN."""
    try:
        text = orjson.dumps(document, default=_encode_value, option=orjson.OPT_SERIALIZE_NUMPY)
        # orjson writes NaN and the infinities as null, which a model would refuse.
        if b"null" in text:
            text = json.dumps(document, default=_encode_value).encode()
    except (TypeError, ValueError) as error:
        raise invalid_argument(f"This input cannot be written as JSON: {error}") from error
    return text


def columns_of_document(document: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """The request's inputs by alias, rows put together, for clients that send tensors."""
    if "instances" not in document:
        inputs = document["inputs"]
        named = isinstance(inputs, Mapping) and inputs.keys() != {"b64"}
        return dict(inputs) if named else {next(iter(signature.inputs)): inputs}
    rows = document["instances"]
    if len(rows) and isinstance(rows[0], Mapping) and rows[0].keys() != {"b64"}:
        return {alias: [row[alias] for row in rows] for alias in rows[0]}
    return {next(iter(signature.inputs)): rows}


def _encode_value(value: object) -> object:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    # Tensors, Series and other arrays-to-be.
    if hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    raise TypeError(f"a value of type {type(value).__name__} is neither an array, a number nor a string")


def parse_answer(body: bytes, signature: Signature | None = None) -> Tensor | dict[str, Tensor]:
    """The arrays of a predict answer; the row format's rows are put together again."""
    document = parse_json(body)
    if isinstance(document, dict) and "predictions" in document:
        outputs = _columns(document["predictions"])
    elif isinstance(document, dict) and "outputs" in document:
        outputs = document["outputs"]
    else:
        raise ServingError(Code.INTERNAL, "The answer holds neither 'predictions' nor 'outputs'.")
    dtypes = {} if signature is None else {k: spec.dtype for k, spec in signature.outputs.items()}
    if isinstance(outputs, dict) and not _is_b64(outputs):
        return {alias: _array(column, dtypes.get(alias)) for alias, column in outputs.items()}
    return _array(outputs, next(iter(dtypes.values())) if len(dtypes) == 1 else None)


def parse_json(body: bytes) -> object:
    """The document of an answer; ServingError if it is none."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        # The server writes NaN and Infinity bare, and strings byte for byte; this parser takes both.
        try:
            document = json.loads(body.decode("utf-8", "surrogateescape"))
        except ValueError:
            raise ServingError(Code.INTERNAL, "The answer is not JSON.") from None
    return document


def _columns(rows: list[Any]) -> object:
    if rows and isinstance(rows[0], dict) and not _is_b64(rows[0]):
        return {alias: [row[alias] for row in rows] for alias in rows[0]}
    return rows


def _is_b64(value: dict[str, Any]) -> bool:
    return value.keys() == {"b64"} and isinstance(value["b64"], str)


def _array(value: object, dtype: str | None) -> Tensor:
    value = _decode_b64(value)
    array = np.asarray(value)
    # Fixed-width text would cut a longer string assigned later, and strips trailing NULs of bytes.
    if array.dtype.kind in "US":
        return np.asarray(value, dtype=object)
    wanted = DTYPES.get(dtype or "")
    return array if wanted is None or not _keeps_values(array, wanted.numpy) else array.astype(wanted.numpy)


def _keeps_values(array: Tensor, dtype: np.dtype[Any]) -> bool:
    """Whether the cast is one of width only; the signature may be another version's than the answer."""
    return array.size == 0 or array.dtype.kind == dtype.kind or {array.dtype.kind, dtype.kind} <= {"i", "u"}


def _decode_b64(value: object) -> object:
    if isinstance(value, list):
        # Only the first leaf is looked at: an output is either all bytes or has none.
        return [_decode_b64(item) for item in value] if _starts_with_b64(value) else value
    if isinstance(value, dict) and _is_b64(value):
        try:
            return base64.b64decode(cast("str", value["b64"]))
        except binascii.Error as error:
            raise ServingError(Code.INTERNAL, "The answer's base64 text is broken.") from error
    return value


def _starts_with_b64(value: object) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, dict)
