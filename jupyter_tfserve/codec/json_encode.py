"""Output tensors into the body of a REST predict answer; the codec's last step.

Text and white space are TensorFlow Serving's to the byte for tensors that a person may look at. Those with more
numbers go through orjson a whole array at a time, which spells the same values its way: in decimals where
upstream has an exponent. Large ones have no white space either, which would multiply their size. Members are sorted.
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
from jupyter_tfserve.codec.json_floats import printed_doubles
from jupyter_tfserve.codec.json_layout import in_line, nested, spread, spread_object
from jupyter_tfserve.codec.json_number_text import FLOAT_LOOP_SIZE, float32_texts, float64_texts
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import Tensor, Tensors

_NULL: Final = re.compile(rb"null")
_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY
_LAID_OUT_SIZE: Final = 4096
"""Beyond this many numbers white space would cost more than a tenth of the encoding (measured)."""
_PIECE_SIZE: Final = 2**14
"""So many numbers at a time: orjson holds the interpreter's lock, for 5 ms at worst with these."""
_LOOP_TEXTS: Final = {"f": float32_texts, "d": float64_texts}

_ROW_LEVEL: Final = 2
"""Of a row's text: the body's object and the list of predictions are open around it."""


def encode_predict(outputs: Tensors, row_format: bool) -> bytes:
    """The body: `{"predictions": […]}` in row format, else `{"outputs": …}`.

    The name of a single output is left out. INVALID_ARGUMENT for no outputs, for a dtype that JSON has not,
    and in row format for a scalar output or outputs of different batch sizes.
    """
    if len(outputs) == 1:
        ((name, tensor),) = outputs.items()
        if not row_format:
            return b'{\n    "outputs": ' + _text(name, tensor, 1, False) + b"\n}"
        if tensor.ndim:
            return b'{\n    "predictions": ' + _rows_text(name, tensor) + b"\n}"
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    if row_format:
        return b'{\n    "predictions": ' + _objects(outputs, _batch_size(outputs)) + b"\n}"
    members = [_key(name) + _text(name, outputs[name], 2, False) for name in sorted(outputs)]
    return b'{\n    "outputs": ' + spread_object(members, 1) + b"\n}"


def _key(name: str) -> bytes:
    return quote(name.encode()) + b": "


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


def _rows_text(name: str, tensor: Tensor) -> bytes:
    """The rows of a single output, on the line of the bracket that opens the list; the closing one has its own."""
    if not tensor.shape[0]:
        return b"[]"
    return _text(name, tensor, 1, True)[:-1] + b"\n    ]"


def _objects(outputs: Tensors, batch_size: int) -> bytes:
    """A list with an object per row."""
    names = sorted(outputs)
    columns = [_rows(name, outputs[name]) for name in names]
    keys = [_key(name) for name in names]
    rows = [
        spread_object([key + column[row] for key, column in zip(keys, columns, strict=True)], _ROW_LEVEL)
        for row in range(batch_size)
    ]
    return nested(rows, (batch_size,), 1, False)


def _rows(name: str, tensor: Tensor) -> list[bytes]:
    """The text of each row of a tensor, as a member of the row's object."""
    rank = tensor.ndim
    if tensor.size == 0 or tensor.dtype == np.object_:
        rows = [row if isinstance(row, np.ndarray) else np.array(row, object) for row in tensor]
        return [_text(name, row, _ROW_LEVEL + 1, True) for row in rows]
    # One text for all rows, cut where only rows can meet: a cut has as many brackets as a row has dimensions.
    opening, closing = b"[" * (rank - 1), b"]" * (rank - 1)
    comma = b", " if tensor.size <= _LAID_OUT_SIZE else b","
    text = _text(name, tensor, 1, True)[rank:-rank]
    return [opening + row + closing for row in text.split(closing + comma + opening)]


def _text(name: str, tensor: Tensor, level: int, one_line: bool) -> bytes:
    """The JSON text of a tensor of any rank, of which arrays are on one line or one number is on each."""
    kind = tensor.dtype.char
    if kind == "O":
        return nested(_string_texts(name, tensor, level), tensor.shape, level, one_line)
    if kind in _LOOP_TEXTS and tensor.size <= FLOAT_LOOP_SIZE:
        texts = _LOOP_TEXTS[kind](tensor.ravel().tolist())
        if one_line and (line := in_line(texts, tensor.shape)) is not None:
            return line
        return nested([text.encode() for text in texts], tensor.shape, level, one_line)
    if tensor.size > _LAID_OUT_SIZE:
        return _in_pieces(tensor)
    text = _dumped(tensor)
    return text.replace(b",", b", ") if one_line else spread(text, tensor.shape, level)


def _in_pieces(tensor: Tensor) -> bytes:
    """`_dumped` of a tensor of any size, of which other threads notice little."""
    if tensor.size <= _PIECE_SIZE:
        return _dumped(tensor)
    step = _PIECE_SIZE * len(tensor) // tensor.size
    if step == 0:
        return b"[" + b",".join(map(_in_pieces, tensor)) + b"]"
    pieces = [_dumped(tensor[at : at + step])[1:-1] for at in range(0, len(tensor), step)]
    return b"[" + b",".join(pieces) + b"]"


def _dumped(tensor: Tensor) -> bytes:
    """The JSON text of numbers, without white space."""
    numbers = _numbers(tensor)
    return _with_tokens(orjson.dumps(numbers if numbers.ndim else numbers.item(), option=_NUMPY), numbers)


def _string_texts(name: str, tensor: Tensor, level: int) -> list[bytes]:
    """The text of each string; as base64 where the output's name says that they are bytes."""
    elements = tensor.reshape(-1).tolist()
    if not name.endswith("_bytes"):
        return [quote(element) for element in elements]
    return [_base64(element, level + tensor.ndim) for element in elements]


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


def _base64(element: bytes, level: int) -> bytes:
    return spread_object([b'"b64": "' + binascii.b2a_base64(element, newline=False) + b'"'], level)
