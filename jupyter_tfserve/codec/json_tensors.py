"""JSON arrays into tensors the quick way: whole lists at once, and None for whatever is not plainly right.

No error is worded here. A None sends the caller to `json_rows`, which walks element by element with
TensorFlow Serving's texts; a tensor from here is the one that `json_rows` would have built.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.json_buffers import JsonTree
from jupyter_tfserve.codec.json_values import text_bytes
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Tensor

MAX_RANK: Final = 32
"""The rank that every numpy since 1.26 can hold; TensorFlow's own kernels stop at 8 or so."""

FLOATS: Final = frozenset({"float", "double", "half", "bfloat16"})
INTEGERS: Final = {
    name: (int(np.iinfo(DTYPES[name].numpy).min), int(np.iinfo(DTYPES[name].numpy).max))
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}
"""The range of each integer type: a literal outside of it is refused, never wrapped."""

_NUMBERS: Final = frozenset({float, int})
_FLAT_FLOAT32: Final = 3.0e38
"""Above this a double may not fit a float32: numpy would warn."""

_Flat: TypeAlias = Sequence[Any]


def to_tensor(value: JsonTree, dtype: str, max_bytes: int) -> Tensor | None:
    """`value` as a tensor of TensorFlow's type `dtype`; None if it is irregular or has a wrong element.

    RESOURCE_EXHAUSTED if the tensor would be larger than `max_bytes`.
    """
    if type(value) is np.ndarray:
        check_tensor_bytes(value.size, dtype, max_bytes)
        return _cast(value, dtype)
    if type(value) is not list:
        flat, shape = [value], []
    else:
        flat, shape = value, [len(value)]
        while flat and type(flat[0]) is list:
            width = len(flat[0])
            if len(shape) == MAX_RANK:
                return None
            shape.append(width)
            if len(flat) == 1:  # one row, the usual request, agrees with itself
                flat = flat[0]
                continue
            if any(type(row) is not list or len(row) != width for row in flat):
                return None
            flat = list(chain.from_iterable(flat))
        if flat and type(flat[0]) is np.ndarray:
            return _stack(flat, dtype, max_bytes) if len(shape) == 1 else None
    check_tensor_bytes(len(flat), dtype, max_bytes)
    tensor = _from_flat(flat, dtype)
    if tensor is None or len(shape) == 1:
        return tensor
    return tensor.reshape(shape)


def check_tensor_bytes(count: int, dtype: str, max_bytes: int) -> None:
    """RESOURCE_EXHAUSTED if `count` elements of `dtype` take more than `max_bytes`."""
    row = DTYPES.get(dtype)
    if row is not None and count * row.numpy.itemsize > max_bytes:
        raise ServingError(
            Code.RESOURCE_EXHAUSTED,
            f"Tensor of {count * row.numpy.itemsize} bytes is larger than max_tensor_bytes ({max_bytes})",
        )


def _from_flat(flat: _Flat, dtype: str) -> Tensor | None:
    """A vector of `dtype` from scalars, or None if one of them is of another type or out of range."""
    kinds = set(map(type, flat))
    if dtype in FLOATS:
        return _floats(flat, dtype) if kinds <= _NUMBERS else None
    if dtype in INTEGERS:
        low, high = INTEGERS[dtype]
        if kinds <= {int} and (not flat or (low <= min(flat) and max(flat) <= high)):
            return np.array(flat, DTYPES[dtype].numpy)
        return None
    if dtype == "string" and kinds <= {str}:
        return strings([text_bytes(text) for text in flat])
    if dtype == "bool" and kinds <= {bool}:
        return np.array(flat, np.bool_)
    return None


def _floats(flat: _Flat, dtype: str) -> Tensor:
    # A NaN in front is its list's minimum and maximum, and goes the longer way; elsewhere it hides nothing.
    if dtype == "float" and 0 < len(flat) <= 64 and min(flat) > -_FLAT_FLOAT32 and max(flat) < _FLAT_FLOAT32:
        return np.array(flat, np.float32)
    return cast_floats(np.array(flat, np.float64), dtype)


def cast_floats(numbers: NDArray[Any], dtype: str) -> Tensor:
    """Doubles as `dtype`; what is too large becomes an infinity, as a cast in C does."""
    with np.errstate(all="ignore"):
        return numbers.astype(np.float64, copy=False).astype(DTYPES[dtype].numpy, copy=False)


def strings(elements: Sequence[bytes]) -> Tensor:
    """A vector of byte strings."""
    tensor = np.empty(len(elements), np.object_)
    tensor[:] = elements
    return tensor


def _cast(numbers: NDArray[Any], dtype: str) -> Tensor | None:
    """A buffer of int64, uint64 or float64 as `dtype`; it is float64 if some number is no integer literal."""
    if dtype in FLOATS:
        return cast_floats(numbers, dtype)
    if dtype not in INTEGERS or numbers.dtype == np.float64:
        return None
    low, high = INTEGERS[dtype]
    if numbers.size and not (low <= int(numbers.min()) and int(numbers.max()) <= high):
        return None
    return numbers.astype(DTYPES[dtype].numpy, copy=False)


def _stack(rows: Sequence[NDArray[Any]], dtype: str, max_bytes: int) -> Tensor | None:
    """One tensor from a buffer per row."""
    shape = getattr(rows[0], "shape", None)
    if shape is None or any(type(row) is not np.ndarray or row.shape != shape for row in rows):
        return None
    check_tensor_bytes(len(rows) * rows[0].size, dtype, max_bytes)
    tensors: list[Tensor] = []
    for row in rows:
        tensor = _cast(row, dtype)
        if tensor is None:
            return None
        tensors.append(tensor)
    return np.stack(tensors)
