"""JSON Schemas of tensors as REST writes them: nested lists of the signature's shape. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from jupyter_tfserve.codec.dtypes import numpy_dtype
from jupyter_tfserve.types import TensorSpec

Schema: TypeAlias = "dict[str, Any]"

BYTES: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "Bytes that are no text, in base64.",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
    "required": ["b64"],
    "additionalProperties": False,
}
BYTES_REF: Final[Mapping[str, Any]] = {"$ref": "#/components/schemas/Bytes"}


def input_schema(spec: TensorSpec, *, is_row: bool = False) -> Schema:
    """What an input takes; `is_row`: without the first dimension. REQUIRES: REST carries its dtype."""
    element = _number(spec.dtype)
    if spec.dtype == "string":
        element = {"anyOf": [{"type": "string"}, dict(BYTES_REF)]}
    return _tensor(spec, element, is_row)


def output_schema(alias: str, spec: TensorSpec, *, is_row: bool = False) -> Schema:
    """What an output gives. Strings are bytes where the alias says so. REQUIRES: as for `input_schema`."""
    element = _number(spec.dtype)
    if spec.dtype == "string":
        element = dict(BYTES_REF) if alias.endswith("_bytes") else {"type": "string"}
    return _tensor(spec, element, is_row)


def named_schemas(schemas: Mapping[str, Schema]) -> Schema:
    """An object with every one of these members."""
    return {"type": "object", "properties": dict(schemas), "required": list(schemas)}


def list_of(items: Schema, size: int | None = None) -> Schema:
    """An array; of exactly `size` items, if that is given."""
    bounds = {} if size is None else {"minItems": size, "maxItems": size}
    return {"type": "array", "items": items, **bounds}


def shape_text(dimensions: Sequence[int] | None) -> str:
    """`[?,28,28]` for people; `of any shape` for an unknown rank."""
    if dimensions is None:
        return "of any shape"
    return "[" + ",".join("?" if size < 0 else str(size) for size in dimensions) + "]"


def _tensor(spec: TensorSpec, element: Schema, is_row: bool) -> Schema:
    if spec.shape is None:
        return {"description": f"{spec.dtype} of any shape", "anyOf": [element, {"type": "array"}]}
    dimensions = spec.shape[1:] if is_row else spec.shape
    schema = element
    for size in reversed(dimensions):
        schema = list_of(schema, size if size >= 0 else None)
    return {"description": f"{spec.dtype} {shape_text(dimensions)}", **schema}


def _number(dtype: str) -> Schema:
    if dtype == "bool":
        return {"type": "boolean"}
    known = numpy_dtype(dtype)
    if known.kind not in "iu":
        return {"type": "number"}
    bounds = np.iinfo(known)
    return {"type": "integer", "minimum": int(bounds.min), "maximum": int(bounds.max)}
