"""Whether a saved version answers as the model in the notebook does, on the rows that the user gave.

The served answer is the reloaded model's: another process read the files. Imports no TensorFlow; whoever
passes a model has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.mismatch import describe_spec
from jupyter_tfserve.codec.value_shape import describe_shape, shape_fits
from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.save import default_function, model_errors, reason_of
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature, Tensor

RELATIVE_TOLERANCE: Final = 1e-3
ABSOLUTE_TOLERANCE: Final = 1e-5
"""Two processes sum in other orders; a model that was saved wrongly is off by far more."""


@dataclass(frozen=True, slots=True)
class Check:
    """What the comparison gave. `reason` tells why there was none; then nothing is known."""

    rows: int = 0
    largest_difference: float = 0.0
    agrees: bool = True
    reason: str = ""

    def __str__(self) -> str:
        """One line for a person."""
        if self.reason:
            return f"not compared: {self.reason}"
        rows = f"{self.rows} row{'' if self.rows == 1 else 's'}"
        word = "agree" if self.agrees else "differ"
        return f"{rows} {word} with the model in this notebook (difference {self.largest_difference:.2g})"


class NotComparable(Exception):
    """The two cannot be compared; the text says why."""


class RowsDoNotFit(ServingError):
    """The rows are not what the model takes: the notebook's model fails on them, and its signature says why."""


def check_version(client: ControlClient, model: str, version: int, obj: object, like: object) -> Check:
    """The served version beside `obj`, both asked with the rows of `like`; `RowsDoNotFit` if these are others."""
    try:
        signature = client.signatures(model, version)[1].get(DEFAULT_SIGNATURE)
        if signature is None:
            raise NotComparable("it has no default signature")
        columns = columns_of(obj, like, signature)
        try:
            mine, again = call_model(obj, like, columns), call_model(obj, like, columns)
        except NotComparable:
            _check_shapes(columns, signature)
            raise
        if not compare(mine, again).agrees:
            raise NotComparable("the model answers differently each time")
        served = client.predict(ModelSpec(model, version), {"inputs": columns}, signature)
        found = compare(mine, served)
    except NotComparable as problem:
        return Check(reason=str(problem))
    except RowsDoNotFit:
        raise
    except ServingError as error:
        return Check(reason=error.message)
    return Check(_row_count(columns), found.largest_difference, found.agrees)


def _check_shapes(columns: Mapping[str, Tensor], signature: Signature) -> None:
    for alias, column in columns.items():
        spec = signature.inputs[alias]
        if not shape_fits(column.shape, spec.shape):
            raise RowsDoNotFit(
                Code.INVALID_ARGUMENT,
                f"The rows of --like do not fit: {alias} has shape {describe_shape(column.shape)}, and the model "
                f"takes {describe_spec(spec)}.",
            )


def columns_of(obj: object, like: object, signature: Signature) -> dict[str, Tensor]:
    """The example as arrays by input alias, in the signature's dtypes. `NotComparable` if names are unclear."""
    if isinstance(like, Mapping):
        named: Mapping[str, Any] = like
    elif len(signature.inputs) == 1:
        (alias,) = signature.inputs
        named = {alias: like[0] if isinstance(like, tuple) and len(like) == 1 else like}
    else:
        names = input_names(obj)
        if not isinstance(like, Sequence) or len(like) != len(names):
            raise NotComparable("the example does not say which input is which")
        named = dict(zip(names, like, strict=True))
    if named.keys() != signature.inputs.keys():
        raise NotComparable(f"the example's inputs are {', '.join(map(str, named))}")
    return {alias: _as_dtype(value, signature.inputs[alias].dtype) for alias, value in named.items()}


def input_names(obj: Any) -> list[str]:
    """The inputs' names in the order in which the object takes them; empty when it does not tell."""
    if isinstance(getattr(obj, "inputs", None), list):
        return [str(tensor.name) for tensor in obj.inputs]
    try:
        return list(inspect.signature(default_function(obj).python_function).parameters)
    except (AttributeError, LookupError, TypeError, ValueError, ServingError):
        return []


def call_model(obj: Any, like: object, columns: Mapping[str, Tensor]) -> Any:
    """The notebook's own answer, as numpy. `NotComparable` with the model's words when it fails."""
    values: Any = list(columns.values())
    if isinstance(like, Mapping):
        arguments: tuple[Any, ...] = (dict(columns),)
    elif hasattr(obj, "inputs") and len(values) > 1:
        arguments = (values,)
    else:
        arguments = tuple(values)
    try:
        return _as_numpy(default_function(obj)(*arguments))
    except model_errors() as error:
        text = f"the model in this notebook fails on these rows: {reason_of(error)}"
        raise NotComparable(text) from error


def direct_call(obj: Any, columns: Mapping[str, Any], signature: Signature) -> Callable[[], object]:
    """What calls the notebook's model with these columns and waits for its answer."""
    arrays = {alias: _as_dtype(value, signature.inputs[alias].dtype) for alias, value in columns.items()}
    names = input_names(obj)
    if len(arrays) == 1:
        like: object = next(iter(arrays.values()))
    elif sorted(names) == sorted(arrays):
        arrays = {name: arrays[name] for name in names}
        like = list(arrays.values())
    else:
        like = arrays
    return lambda: call_model(obj, like, arrays)


def compare(mine: Any, served: Any) -> Check:
    """Whether two answers agree, and the largest difference of their numbers."""
    pairs = list(_pairs(mine, served))
    found = [_compare_arrays(np.asarray(left), np.asarray(right)) for left, right in pairs]
    largest = max((check.largest_difference for check in found), default=0.0)
    return Check(0, largest, all(check.agrees for check in found))


def as_bytes(array: Tensor) -> Tensor:
    """An array of strings as TensorFlow has it: objects, each bytes."""
    encoded = [item.encode() if isinstance(item, str) else item for item in array.ravel().tolist()]
    return np.array(encoded, dtype=object).reshape(array.shape)


def _pairs(mine: Any, served: Any) -> list[tuple[Any, Any]]:
    if isinstance(mine, Mapping) and len(mine) == 1 and not isinstance(served, Mapping):
        return [(next(iter(mine.values())), served)]
    if isinstance(mine, Mapping) and isinstance(served, Mapping) and mine.keys() == served.keys():
        return [(mine[name], served[name]) for name in mine]
    if isinstance(mine, list) and isinstance(served, Mapping):
        # Outputs without names are numbered by the exporters.
        names = [f"output_{number}" for number in range(len(mine))]
        if set(names) == served.keys():
            return [(left, served[name]) for left, name in zip(mine, names, strict=True)]
    if isinstance(mine, list) and isinstance(served, list) and len(mine) == len(served):
        return list(zip(mine, served, strict=True))
    if isinstance(mine, np.ndarray) and isinstance(served, np.ndarray):
        return [(mine, served)]
    raise NotComparable("its outputs have other names than the model's")


def _compare_arrays(mine: Tensor, served: Tensor) -> Check:
    if mine.shape != served.shape:
        return Check(agrees=False, largest_difference=float("inf"))
    if mine.dtype.kind not in "fiub" or served.dtype.kind not in "fiub":
        same = np.array_equal(as_bytes(mine), as_bytes(served))
        return Check(agrees=bool(same), largest_difference=0.0 if same else float("inf"))
    left, right = mine.astype(np.float64), served.astype(np.float64)
    close = np.allclose(left, right, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE, equal_nan=True)
    both = np.isfinite(left) & np.isfinite(right)
    difference = np.subtract(left, right, where=both, out=np.zeros_like(left))
    largest = float(np.abs(difference).max()) if left.size else 0.0
    return Check(agrees=bool(close), largest_difference=largest)


def _as_numpy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _as_numpy(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_numpy(item) for item in value]
    return np.asarray(value)


def _as_dtype(value: object, dtype: str) -> Tensor:
    known = DTYPES.get(dtype)
    if known is None:
        raise NotComparable(f"inputs of type {dtype} cannot be sent")
    try:
        # numpy's own strings would lose the zero bytes at their ends.
        array = np.array(value, dtype=object) if dtype == "string" else np.asarray(value)
        return array.astype(known.numpy)
    except (TypeError, ValueError) as error:
        raise NotComparable(f"the example is no {dtype}: {error}") from error


def _row_count(columns: Mapping[str, Tensor]) -> int:
    return max((len(column) for column in columns.values() if column.ndim), default=1)
