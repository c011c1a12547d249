"""A REST predict request, in two steps, and its answer.

`parse_predict` comes before the model is looked up, since a broken body is its sender's error whatever the
model; `bind_predict` comes after, when the signature is known. Between the two lies the router.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from jupyter_tfserve.codec.json_buffers import JsonTree
from jupyter_tfserve.codec.json_debug import debug_text
from jupyter_tfserve.codec.json_encode import encode_predict
from jupyter_tfserve.codec.json_reader import JsonDocument, read_json, read_large
from jupyter_tfserve.codec.json_rows import bind_columns, bind_rows
from jupyter_tfserve.codec.json_tensors import to_tensor
from jupyter_tfserve.codec.json_values import JsonValue, is_base64
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Signature, Tensor, TensorSpec

__all__ = [
    "PredictDocument",
    "bind_buffers",
    "bind_predict",
    "encode_predict",
    "parse_buffers",
    "parse_predict",
]

_BOTH_KEYS: Final = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "


@dataclass(slots=True)  # not frozen: every request makes one, and freezing triples what that costs
class PredictDocument:
    """A parsed predict body. `signature_name` is empty if the caller named none."""

    signature_name: str
    document: JsonDocument


def parse_predict(body: bytes, limits: LimitOptions) -> PredictDocument:
    """The document in `body`; INVALID_ARGUMENT for all that is wrong whatever the model."""
    document = read_json(body, limits.max_json_depth)
    signature_name = read_signature_name(document)
    return PredictDocument(signature_name, document)


def parse_buffers(body: bytes, limits: LimitOptions) -> PredictDocument | None:
    """The same of a body of numbers, within 2 ms for each megabyte; None for any other, and `parse_predict` tells."""
    document = read_large(body, limits.max_json_depth)
    return None if document is None else PredictDocument(read_signature_name(document), document)


def read_signature_name(document: JsonDocument) -> str:
    """The `signature_name` member, empty if there is none; INVALID_ARGUMENT unless the root is an object."""
    tree = document.tree
    if not isinstance(tree, dict):
        raise invalid_argument(f"JSON Value: {debug_text(tree)} Is not object")
    signature_name = tree.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise invalid_argument(
            f"JSON Value: {debug_text(document.value())} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return signature_name


def bind_predict(
    predict: PredictDocument, signature: Signature, limits: LimitOptions
) -> tuple[dict[str, Tensor], bool]:
    """The tensors of every input, and whether the request is in row format, which its answer then is too.

    INVALID_ARGUMENT, UNIMPLEMENTED (columnar, a dtype that JSON has not) or RESOURCE_EXHAUSTED
    (`limits.max_tensor_bytes`).
    """
    bound = bind_buffers(predict, signature, limits)
    if bound is not None:
        return bound
    if not signature.inputs:
        name = predict.signature_name or "DEFAULT"
        raise invalid_argument(f"Failed to get input map for signature: {name}")
    return _bind_exactly(predict.document.value(), signature, limits.max_tensor_bytes)


def bind_buffers(
    predict: PredictDocument, signature: Signature, limits: LimitOptions
) -> tuple[dict[str, Tensor], bool] | None:
    """The same, if whole lists or buffers can be converted at once; None if not, and `bind_predict` tells.

    Quick with what `parse_buffers` gave; as long as parsing otherwise.
    """
    tree = predict.document.tree
    is_row, is_columnar = "instances" in tree, "inputs" in tree
    if is_row == is_columnar or not signature.inputs:
        return None
    tensors = _bind_quickly(tree, is_row, signature, limits.max_tensor_bytes)
    return None if tensors is None else (tensors, is_row)


def _bind_quickly(
    tree: JsonTree, is_row: bool, signature: Signature, max_bytes: int
) -> dict[str, Tensor] | None:
    """The tensors, if whole lists can be converted at once; else None."""
    inputs = signature.inputs
    columns = _row_columns(tree["instances"], inputs) if is_row else _columns(tree["inputs"], inputs)
    if columns is None:
        return None
    tensors: dict[str, Tensor] = {}
    for name, spec in inputs.items():
        tensor = to_tensor(columns[name], spec.dtype, max_bytes)
        if tensor is None:
            return None
        tensors[name] = tensor
    return tensors


def _row_columns(instances: JsonTree, inputs: Mapping[str, TensorSpec]) -> Mapping[str, JsonTree] | None:
    """The values of each input, row by row, or None for anything unusual."""
    if type(instances) is list and instances:
        first = instances[0]
        if type(first) is dict and not is_base64(first):
            names = inputs.keys()
            if any(type(row) is not dict or row.keys() != names or is_base64(row) for row in instances):
                return None
            return {name: [row[name] for row in instances] for name in names}
    elif type(instances) is not np.ndarray:
        return None
    return dict.fromkeys(inputs, instances) if len(inputs) == 1 else None


def _columns(values: JsonTree, inputs: Mapping[str, TensorSpec]) -> Mapping[str, JsonTree] | None:
    if isinstance(values, dict) and not is_base64(values):
        return values if inputs.keys() <= values.keys() else None
    return dict.fromkeys(inputs, values) if len(inputs) == 1 else None


def _bind_exactly(value: JsonValue, signature: Signature, max_bytes: int) -> tuple[dict[str, Tensor], bool]:
    """The same by the book, with every error in TensorFlow Serving's words."""
    if not isinstance(value, dict):
        raise TypeError("parse_predict lets only objects pass")
    is_row, is_columnar = "instances" in value, "inputs" in value
    if is_row and is_columnar:
        raise invalid_argument(f"JSON Value: {debug_text(value)} {_BOTH_KEYS}")
    if is_row:
        return bind_rows(value, signature, max_bytes), True
    if is_columnar:
        return bind_columns(value, signature, max_bytes), False
    raise invalid_argument(
        "Missing 'inputs' or 'instances' key",
        'The body is {"instances": [row, …]}, or {"inputs": …} with all rows of each input together.',
    )
