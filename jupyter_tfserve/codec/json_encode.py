"""Output tensors into the body of a REST predict answer; the codec's last step.

Values are TensorFlow Serving's, white space is not: the body has none. Numbers go through orjson a
whole array at a time; NaN and the infinities, for which JSON has no token, are written bare, as TensorFlow
Serving does.
"""

from __future__ import annotations

import binascii
import math
import re
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from jupyter_tfserve.codec.dtypes import by_numpy
from jupyter_tfserve.codec.json_debug import quote
from jupyter_tfserve.codec.json_floats import printed_doubles, printed_float32
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import Tensor, Tensors

_NULL: Final = re.compile(rb"null")
_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY
_LOOP_SIZE: Final = 32
"""Up to this many floats a Python loop is quicker than a score of numpy calls (measured)."""


def encode_predict(outputs: Tensors, row_format: bool) -> bytes:
    """The body: `{"predictions":[…]}` in row format, else `{"outputs":…}`.

    The name of a single output is left out. INVALID_ARGUMENT for no outputs, for a dtype that JSON has not,
    and in row format for a scalar output or outputs of different batch sizes.
    """
    if len(outputs) == 1:
        ((name, tensor),) = outputs.items()
        if not row_format:
            return b'{"outputs":' + _text(name, tensor) + b"}"
        if tensor.ndim:
            return b'{"predictions":' + _text(name, tensor) + b"}"
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    if row_format:
        return b'{"predictions":' + _objects(outputs, _batch_size(outputs)) + b"}"
    members = [_key(name) + _text(name, outputs[name]) for name in sorted(outputs)]
    return b'{"outputs":{' + b",".join(members) + b"}}"


def _key(name: str) -> bytes:
    return quote(name.encode()) + b":"


def _batch_size(outputs: Tensors) -> int:
    """The first dimension that every output shares."""
    batch_size: int | None = None
    for name in sorted(outputs):
        tensor = outputs[name]
        if tensor.ndim == 0:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if batch_size is None:
            batch_size = tensor.shape[0]
        if tensor.shape[0] != batch_size:
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {tensor.shape[0]} expecting: {batch_size}"
            )
    return batch_size or 0


def _objects(outputs: Tensors, batch_size: int) -> bytes:
    """A list with an object per row."""
    names = sorted(outputs)
    columns = [_rows(name, outputs[name]) for name in names]
    keys = [_key(name) for name in names]
    rows = (
        b",".join([key + column[row] for key, column in zip(keys, columns, strict=True)])
        for row in range(batch_size)
    )
    return b"[" + b",".join([b"{" + row + b"}" for row in rows]) + b"]"


def _rows(name: str, tensor: Tensor) -> list[bytes]:
    """The text of each row of a tensor."""
    rank = tensor.ndim
    if tensor.size == 0 or tensor.dtype == np.object_:
        return [_text(name, row if isinstance(row, np.ndarray) else np.array(row, object)) for row in tensor]
    # One text for all rows, cut where only rows can meet: a cut has as many brackets as a row has dimensions.
    opening, closing = b"[" * (rank - 1), b"]" * (rank - 1)
    text = _text(name, tensor)[rank:-rank]
    return [opening + row + closing for row in text.split(closing + b"," + opening)]


def _text(name: str, tensor: Tensor) -> bytes:
    """The JSON text of a tensor of any rank."""
    kind = tensor.dtype.char
    if kind == "O":
        write = _base64 if name.endswith("_bytes") else quote
        return _nested([write(element) for element in tensor.reshape(-1).tolist()], tensor.shape)
    if kind == "f" and tensor.size <= _LOOP_SIZE:
        values = _printed(tensor.tolist())
        return _with_tokens(orjson.dumps(values), values)
    numbers = _numbers(tensor)
    return _with_tokens(orjson.dumps(numbers if numbers.ndim else numbers.item(), option=_NUMPY), numbers)


def _printed(value: Any) -> Any:
    """`printed_float32` of every element of a nested list: a tensor's, so no deeper than its rank."""
    if type(value) is float:
        return printed_float32(value)
    return [printed_float32(item) if type(item) is float else _printed(item) for item in value]


def _numbers(tensor: Tensor) -> NDArray[Any]:
    """The tensor as an array that orjson prints with TensorFlow Serving's values."""
    kind = by_numpy(tensor.dtype)
    if kind is not None:
        if kind.name in ("float", "half", "bfloat16"):
            return printed_doubles(tensor.astype(np.float32, copy=False))
        if tensor.dtype.kind in "iufb":
            return np.ascontiguousarray(tensor).reshape(tensor.shape)
    type_name = tensor.dtype.name if kind is None else kind.name
    raise invalid_argument(f"Failed to write JSON value for tensor type: {type_name}")


def _with_tokens(text: bytes, numbers: Any) -> bytes:
    """orjson writes null for NaN and infinities: these get their tokens here, in order.

    `numbers`: the array or nested list that the text was made of.
    """
    if b"null" not in text:
        return text
    values = np.asarray(numbers, np.float64)
    tokens = iter(values[~np.isfinite(values)].tolist())
    return _NULL.sub(lambda _: _token(next(tokens)), text)


def _token(value: float) -> bytes:
    if math.isnan(value):
        return b"NaN"
    return b"Infinity" if value > 0 else b"-Infinity"


def _nested(elements: list[bytes], shape: tuple[int, ...]) -> bytes:
    """Elements in row-major order as nested lists."""
    for axis in range(len(shape) - 1, -1, -1):
        size, count = shape[axis], math.prod(shape[:axis])
        elements = [b"[" + b",".join(elements[at * size : (at + 1) * size]) + b"]" for at in range(count)]
    return elements[0]


def _base64(element: bytes) -> bytes:
    return b'{"b64":"' + binascii.b2a_base64(element, newline=False) + b'"}'
