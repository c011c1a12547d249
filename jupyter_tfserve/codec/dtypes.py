"""TensorFlow's element types: their names, `DT_` numbers and numpy dtypes, in one table.

On the data path both codecs and the batcher read it. It imports numpy and ml_dtypes, never TensorFlow.
Quantized, resource, variant and reference types are not in the table: no such tensor crosses the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import ml_dtypes
import numpy as np


@dataclass(frozen=True, slots=True)
class DType:
    """One element type: TensorFlow's name (`float`), its `DT_` number and the numpy dtype that holds it."""

    name: str
    number: int
    numpy: np.dtype[Any]


_BUILT_IN: Final[tuple[tuple[str, int, Any], ...]] = (
    ("float", 1, np.float32),
    ("double", 2, np.float64),
    ("int32", 3, np.int32),
    ("uint8", 4, np.uint8),
    ("int16", 5, np.int16),
    ("int8", 6, np.int8),
    ("string", 7, np.object_),
    ("complex64", 8, np.complex64),
    ("int64", 9, np.int64),
    ("bool", 10, np.bool_),
    ("bfloat16", 14, ml_dtypes.bfloat16),
    ("uint16", 17, np.uint16),
    ("complex128", 18, np.complex128),
    ("half", 19, np.float16),
    ("uint32", 22, np.uint32),
    ("uint64", 23, np.uint64),
)

_BY_ML_DTYPES: Final[tuple[tuple[str, int], ...]] = (
    ("float8_e5m2", 24),
    ("float8_e4m3fn", 25),
    ("float8_e4m3fnuz", 26),
    ("float8_e4m3b11fnuz", 27),
    ("float8_e5m2fnuz", 28),
)
"""These exist only in newer releases of ml_dtypes; each is offered if it is there."""


def _rows() -> Iterator[DType]:
    for name, number, scalar in _BUILT_IN:
        yield DType(name, number, np.dtype(scalar))
    for name, number in _BY_ML_DTYPES:
        scalar = getattr(ml_dtypes, name, None)
        if scalar is not None:
            yield DType(name, number, np.dtype(scalar))


DTYPES: Final[Mapping[str, DType]] = MappingProxyType({row.name: row for row in _rows()})
"""Every dtype that a tensor on the wire may have, by TensorFlow's name."""

STRING: Final = DTYPES["string"]

_BY_NUMBER: Final[Mapping[int, DType]] = MappingProxyType({row.number: row for row in DTYPES.values()})
_BY_NUMPY: Final[Mapping[np.dtype[Any], DType]] = MappingProxyType(
    {row.numpy: row for row in DTYPES.values()}
)


def by_number(number: int) -> DType | None:
    """The dtype of a `DT_` number, or None if no tensor on the wire has it."""
    return _BY_NUMBER.get(number)


def by_numpy(dtype: np.dtype[Any]) -> DType | None:
    """The dtype of a numpy array, or None if TensorFlow has no such type.

    Object arrays are strings (of bytes). A foreign byte order has none: `>f4` is not the wire's float.
    """
    return _BY_NUMPY.get(dtype)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The numpy dtype of TensorFlow's `name`. REQUIRES: `name` is in `DTYPES`."""
    return DTYPES[name].numpy


def tf_name(dtype: np.dtype[Any]) -> str:
    """TensorFlow's name of a numpy dtype. REQUIRES: the dtype is in the table."""
    return _BY_NUMPY[dtype].name
