"""Row format and columnar format into tensors, element by element, with TensorFlow Serving's error texts.

The slow half of binding: `json_predict` comes here when the quick half finds anything that is not plainly
right, so this module decides what every odd request means. Order of checks and texts are TensorFlow
Serving's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.json_debug import debug_text
from jupyter_tfserve.codec.json_tensors import (
    FLOATS,
    INTEGERS,
    MAX_RANK,
    cast_floats,
    check_tensor_bytes,
    strings,
)
from jupyter_tfserve.codec.json_values import (
    JsonObject,
    JsonValue,
    decode_base64,
    is_base64,
    member_count,
    members,
    text_bytes,
    type_name,
)
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import Signature, Tensor

_ONE_INPUT: Final = "as multiple input tensors required as per tensorinfo_map"


def bind_rows(document: JsonObject, signature: Signature, max_bytes: int) -> dict[str, Tensor]:
    """The tensors of `instances`: each instance is one row of every input."""
    instances = document["instances"]
    if not isinstance(instances, list):
        raise invalid_argument(
            f"JSON Value: {debug_text(document)} Expecting 'instances' to be an list/array"
        )
    if not instances:
        raise invalid_argument(f"JSON Value: {debug_text(document)} No values in 'instances' array")
    columns = {name: _Column(spec.dtype) for name, spec in signature.inputs.items()}
    if _is_row_object(instances[0]):
        _add_objects(instances, columns)
    elif len(columns) > 1:
        raise invalid_argument(f"instances is a plain list, but expecting list of objects {_ONE_INPUT}")
    else:
        _add_values(instances, next(iter(columns.values())))
    return {name: column.tensor(max_bytes) for name, column in columns.items()}


def bind_columns(document: JsonObject, signature: Signature, max_bytes: int) -> dict[str, Tensor]:
    """The tensors of `inputs`: one value per input, of any rank. Members that no input has are ignored."""
    inputs = document["inputs"]
    tensors: dict[str, Tensor] = {}
    if not isinstance(inputs, dict) or is_base64(inputs):
        if len(signature.inputs) > 1:
            raise invalid_argument(f"inputs is a plain value/list, but expecting an object {_ONE_INPUT}")
        for name, spec in signature.inputs.items():
            tensors[name] = _column_tensor(inputs, spec.dtype, max_bytes)
        return tensors
    for name, spec in sorted(signature.inputs.items()):
        if name not in inputs:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        tensors[name] = _column_tensor(inputs[name], spec.dtype, max_bytes)
    return tensors


def _column_tensor(value: JsonValue, dtype: str, max_bytes: int) -> Tensor:
    column = _Column(dtype)
    column.add(value)
    return column.tensor(max_bytes, batched=False)


def _is_row_object(value: JsonValue) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _add_values(instances: list[JsonValue], column: _Column) -> None:
    for index, element in enumerate(instances):
        if _is_row_object(element):
            raise invalid_argument(f"Expecting value/list but got object at item {index} of input list")
        try:
            column.add(element)
        except ServingError as error:
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. Error: {error}"
            ) from error


def _add_objects(instances: list[JsonValue], columns: dict[str, _Column]) -> None:
    for index, element in enumerate(instances):
        if not isinstance(element, dict) or is_base64(element):
            raise invalid_argument(f"Expecting object but got list at item {index} of input list")
        for name, value in members(element):
            try:
                _named_column(columns, name).add(value)
            except ServingError as error:  # noqa: PERF203 - the text names the element
                raise invalid_argument(
                    f"Failed to process element: {index} key: {name} of 'instances' list. Error: {error}"
                ) from error
        # A repeated name is refused with the same text: which of its values counts would be a guess.
        if member_count(element) != len(columns):
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. JSON object: {debug_text(element)} "
                f"keys must be equal to: {','.join(sorted(columns))}"
            )


def _named_column(columns: dict[str, _Column], name: str) -> _Column:
    if name not in columns:
        raise invalid_argument(f"JSON object: does not have named input: {name}")
    return columns[name]


class _Column:
    """The elements of one input, row after row; every row must have the first one's shape."""

    __slots__ = ("_dtype", "_elements", "_rows", "_shape")

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._elements: list[int | float | bool | bytes] = []
        self._rows = 0
        self._shape: list[int] = []

    def add(self, row: JsonValue) -> None:
        """Appends a row; INVALID_ARGUMENT or UNIMPLEMENTED if it is ragged, mistyped or of another shape."""
        shape = _first_path_shape(row)
        before = len(self._elements)
        self._elements.extend(element_of(leaf, self._dtype) for leaf in _leaves(row, shape))
        count = len(self._elements) - before
        if self._rows and count != before // self._rows:
            raise invalid_argument(f"Expecting tensor size: {before // self._rows} but got: {count}")
        if self._rows and shape != self._shape:
            raise invalid_argument(f"Expecting shape {_text(self._shape)} but got: {_text(shape)}")
        self._shape = shape
        self._rows += 1

    def tensor(self, max_bytes: int, *, batched: bool = True) -> Tensor:
        """The rows as one tensor; without `batched`, the only row as it is."""
        shape = [self._rows, *self._shape] if batched else self._shape
        if len(shape) > MAX_RANK:
            raise invalid_argument(
                f"Tensor of rank {len(shape)} has more than the {MAX_RANK} dimensions allowed"
            )
        check_tensor_bytes(len(self._elements), self._dtype, max_bytes)
        return self._vector().reshape(shape)

    def _vector(self) -> Tensor:
        if self._dtype in FLOATS:
            return cast_floats(np.array(self._elements, np.float64), self._dtype)
        if self._dtype == "string":
            return strings([element for element in self._elements if isinstance(element, bytes)])
        if self._dtype not in DTYPES:
            raise _no_conversion([], self._dtype)
        return np.array(self._elements, DTYPES[self._dtype].numpy)


def _text(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _first_path_shape(value: JsonValue) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _leaves(value: JsonValue, shape: list[int]) -> Iterator[JsonValue]:
    """The elements in order; INVALID_ARGUMENT where a list is not as `shape` says. Never recursive."""
    rank = len(shape)
    pending: list[Iterator[JsonValue]] = [iter((value,))]
    while pending:
        level = len(pending) - 1
        for item in pending[-1]:
            if isinstance(item, list):
                _check_list(item, level, shape)
                pending.append(iter(item))
                break
            if level != rank:
                raise invalid_argument(
                    f"JSON Value: {debug_text(item)} found at incorrect level: {level + 1} in the JSON DOM. "
                    f"Expected at level: {rank}"
                )
            yield item
        else:
            pending.pop()


def _check_list(value: list[JsonValue], level: int, shape: list[int]) -> None:
    if level >= len(shape):
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )


def element_of(value: JsonValue, dtype: str) -> int | float | bool | bytes:
    """`value` as an element of a tensor of `dtype`.

    INVALID_ARGUMENT if it is of another type or out of range, UNIMPLEMENTED for a dtype that JSON has not.
    """
    if dtype == "string":
        return _string_element(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if dtype in FLOATS and is_number:
        return value  # type: ignore[return-value]
    if dtype in INTEGERS and type(value) is int and INTEGERS[dtype][0] <= value <= INTEGERS[dtype][1]:
        return value
    if dtype == "bool" and isinstance(value, bool):
        return value
    if dtype in FLOATS or dtype in INTEGERS or dtype == "bool":
        raise _wrong_type(value, dtype)
    raise _no_conversion(value, dtype)


def _string_element(value: JsonValue) -> bytes:
    if isinstance(value, str):
        return text_bytes(value)
    if not isinstance(value, dict):
        raise _wrong_type(value, "string")
    text = value.get("b64")
    if not is_base64(value) or not isinstance(text, str):
        raise invalid_argument(f"JSON Value: {debug_text(value)} not formatted correctly for base64 data")
    return decode_base64(text)


def _wrong_type(value: JsonValue, dtype: str) -> ServingError:
    return invalid_argument(
        f"JSON Value: {debug_text(value)} Type: {type_name(value)} is not of expected type: {dtype}"
    )


def _no_conversion(value: JsonValue, dtype: str) -> ServingError:
    return ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {debug_text(value)} to type: {dtype}")
