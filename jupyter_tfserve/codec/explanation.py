"""The hint of a refused prediction: where the request and the signature differ, for whoever holds the request. Pure.

The error's code and words stay upstream's; nothing of this is on the way of a request that succeeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from jupyter_tfserve.codec.dtypes import by_number, by_numpy
from jupyter_tfserve.codec.mismatch import explain
from jupyter_tfserve.codec.value_shape import Value
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Signature, Tensors

NOT_ABOUT_THE_INPUT: Final = frozenset(
    {
        Code.NOT_FOUND,
        Code.UNAVAILABLE,
        Code.UNAUTHENTICATED,
        Code.PERMISSION_DENIED,
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.CANCELLED,
    }
)
MOST_TENSORS: Final = 256
MOST_DIMENSIONS: Final = 16
"""Of a message so much is looked at: what nobody sends but to see what happens costs nothing."""


def explained(
    error: ServingError, document: Mapping[str, Any], signature: Signature, source: str = ""
) -> ServingError:
    """The error with the differences as its hint; as it is if it has one, is about something else, or there are none.

    `source` is what a fix calls the rows; the member of the document that holds them if empty.
    """
    if error.hint is not None or error.code in NOT_ABOUT_THE_INPUT:
        return error
    hint = explain(document, signature, source or ("instances" if "instances" in document else "inputs"))
    # Another error: requests of one batch may share this one.
    return error if hint is None else ServingError(error.code, error.message, hint)


def explained_tensors(error: ServingError, inputs: Mapping[str, Value], signature: Signature) -> ServingError:
    """The same for tensors by input; those that have a default may be left out."""
    wanted = {
        alias: spec
        for alias, spec in signature.inputs.items()
        if alias in inputs or alias not in signature.defaults
    }
    return explained(error, {"inputs": inputs}, replace(signature, inputs=wanted))


def look_at_protos(tensors: Mapping[str, Any]) -> dict[str, Value]:
    """Shapes and types of TensorProtos, which are not decoded."""
    return {alias: _look_at_proto(proto) for alias, proto in islice(tensors.items(), MOST_TENSORS)}


def look_at_tensors(tensors: Tensors) -> dict[str, Value]:
    """Shapes and types of arrays."""
    return {alias: _value(tensor.shape, by_numpy(tensor.dtype)) for alias, tensor in tensors.items()}


def _look_at_proto(proto: Any) -> Value:
    shape = None
    if not proto.tensor_shape.unknown_rank:
        shape = tuple(dim.size for dim in islice(proto.tensor_shape.dim, MOST_DIMENSIONS))
    return _value(shape, by_number(proto.dtype))


def _value(shape: tuple[int, ...] | None, dtype: Any) -> Value:
    return Value(shape, "") if dtype is None else Value(shape, dtype.numpy.kind, dtype=dtype.name)
