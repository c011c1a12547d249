"""What a caller passes to `predict`, as tensors of a signature's own types. Pure.

Types are changed only where no value is: a float is never cut to an integer, nor a large number to infinity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jupyter_tfserve.codec.dtypes import DTYPES, STRING
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import Signature, Tensor, TensorSpec


def bind_inputs(inputs: Any, rows: Sequence[Any] | None, signature: Signature) -> dict[str, Tensor]:
    """The tensors by alias, from columns (`inputs`) or from `rows`; exactly one of them is given.

    Either holds a mapping by alias, or the value alone where the signature has a single input.
    """
    if (inputs is None) == (rows is None):
        raise invalid_argument("Give either inputs or rows")
    columns = _columns(rows, signature) if rows is not None else _named(inputs, signature)
    unknown = sorted(columns.keys() - signature.inputs.keys())
    if unknown:
        raise invalid_argument(f"The signature has no input {', '.join(unknown)}{_known(signature)}")
    return {alias: to_tensor(value, signature.inputs[alias], alias) for alias, value in columns.items()}


def to_tensor(value: Any, spec: TensorSpec, alias: str) -> Tensor:
    """The value as an array of the input's own dtype; INVALID_ARGUMENT if that would change it."""
    dtype = DTYPES.get(spec.dtype)
    if dtype is None:
        raise invalid_argument(f"Input {alias} has the type {spec.dtype}, which cannot be sent")
    if dtype is STRING:
        return _strings(value, alias)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise invalid_argument(f"Input {alias} is not an array: {error}") from None
    if array.dtype == dtype.numpy:
        return array
    if not _may_cast(array, dtype.numpy):
        raise invalid_argument(f"Input {alias} is {array.dtype}; the signature wants {spec.dtype}")
    try:
        with np.errstate(over="raise"):
            return array.astype(dtype.numpy)
    except FloatingPointError:
        raise invalid_argument(f"Input {alias} has a number that {spec.dtype} cannot hold") from None


def _named(inputs: Any, signature: Signature) -> Mapping[str, Any]:
    return inputs if isinstance(inputs, Mapping) else {_only_input(signature): inputs}


def _columns(rows: Sequence[Any], signature: Signature) -> Mapping[str, Any]:
    if len(rows) and isinstance(rows[0], Mapping):
        if any(not isinstance(row, Mapping) or row.keys() != rows[0].keys() for row in rows):
            raise invalid_argument("Every row must name the same inputs")
        return {alias: [row[alias] for row in rows] for alias in rows[0]}
    return {_only_input(signature): list(rows)}


def _only_input(signature: Signature) -> str:
    if len(signature.inputs) != 1:
        raise invalid_argument(f"The inputs need names{_known(signature)}")
    return next(iter(signature.inputs))


def _known(signature: Signature) -> str:
    return f"; the signature has {', '.join(sorted(signature.inputs)) or 'none'}"


def _may_cast(array: Tensor, wanted: np.dtype[Any]) -> bool:
    kind = array.dtype.kind
    if kind in "iu" and wanted.kind in "iu":
        limits = np.iinfo(wanted)
        return array.size == 0 or (int(array.min()) >= limits.min and int(array.max()) <= limits.max)
    # bfloat16 and its like have a kind of their own.
    return (
        array.size == 0
        or np.can_cast(array.dtype, wanted, "same_kind")
        or (kind in "fiu" and wanted.kind == "V")
    )


def _strings(value: Any, alias: str) -> Tensor:
    # As objects from the start: numpy's own strings are cut at trailing zeros, and know no mixture.
    array = np.asarray(value, dtype=object)
    texts = np.empty(array.shape, dtype=object)
    for place, text in np.ndenumerate(array):
        if not isinstance(text, (str, bytes)):
            raise invalid_argument(f"Input {alias} holds a {type(text).__name__}; the signature wants string")
        texts[place] = text.encode() if isinstance(text, str) else text
    return texts
