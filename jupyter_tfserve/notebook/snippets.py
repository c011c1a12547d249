"""A real input of a model: one row made from its signature, or cut out of a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from jupyter_tfserve.engine.client_json import encode_body
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.types import DEFAULT_SIGNATURE, Signature, TensorSpec

PREDICT_METHOD: Final = "tensorflow/serving/predict"

_EXAMPLES: Final[Mapping[str, Any]] = {
    "float": 1.0,
    "double": 1.0,
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"), 1),
    "bool": True,
    "string": "text",
}
"""A value of each dtype that REST can carry; the others (`half`, complex numbers, …) need gRPC."""


def choose_signature(signatures: Mapping[str, Signature]) -> tuple[str, Signature] | None:
    """The signature that an example is for: the default one if it predicts, else the first that does."""
    names = sorted(signatures, key=lambda name: (name != DEFAULT_SIGNATURE, name))
    for name in names:
        if signatures[name].method_name == PREDICT_METHOD and signatures[name].inputs:
            return name, signatures[name]
    return None


def example_document(signature: Signature, name: str = DEFAULT_SIGNATURE) -> dict[str, Any] | None:
    """A predict request with one row of valid dtypes and shapes, or None if REST cannot carry the inputs."""
    if any(spec.dtype not in _EXAMPLES for spec in signature.inputs.values()):
        return None
    head = {} if name == DEFAULT_SIGNATURE else {"signature_name": name}
    if not _has_rows(signature):
        columns = {alias: _nested(spec.dtype, spec.shape) for alias, spec in signature.inputs.items()}
        return {**head, "inputs": columns}
    row = {alias: _nested(spec.dtype, (spec.shape or ())[1:]) for alias, spec in signature.inputs.items()}
    return {**head, "instances": [next(iter(row.values())) if len(row) == 1 else row]}


def example_columns(signature: Signature) -> dict[str, Any]:
    """One value of each input as nested lists, also of those dtypes that only gRPC carries."""
    return {alias: _nested(spec.dtype, spec.shape) for alias, spec in signature.inputs.items()}


def one_row(document: Mapping[str, Any], signature: Signature) -> dict[str, Any] | None:
    """The first row of a request as plain JSON values, or None if it has none that JSON can hold."""
    row = dict(document)
    if "instances" in row:
        row["instances"] = row["instances"][:1]
    elif isinstance(row.get("inputs"), Mapping) and _has_rows(signature):
        row["inputs"] = {alias: column[:1] for alias, column in row["inputs"].items()}
    try:
        # By way of the wire's own encoding: NaN and infinities do not come back.
        plain: dict[str, Any] = orjson.loads(encode_body(row))
    except (ServingError, orjson.JSONDecodeError):
        return None
    return plain if plain.get("instances") != [] else None


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


def _has_rows(signature: Signature) -> bool:
    """Whether rows are free in number on both sides, which the row format needs."""
    specs = [*signature.inputs.values(), *signature.outputs.values()]
    return all(_is_batched(spec) for spec in signature.inputs.values()) and all(
        spec.shape is None or len(spec.shape) > 0 for spec in specs
    )


def _is_batched(spec: TensorSpec) -> bool:
    return bool(spec.shape) and spec.shape is not None and spec.shape[0] == -1


def _nested(dtype: str, shape: tuple[int, ...] | None) -> Any:
    # An unknown rank is most often a batch: one element in one dimension suits it better than a scalar.
    dimensions = (1,) if shape is None else shape
    value = _EXAMPLES.get(dtype, 1.0)
    for size in reversed(dimensions):
        value = [value] * (1 if size < 0 else size)
    return value
