"""A predict request that fits a signature: one row of valid dtypes and shapes, made from nothing else. Pure.

OpenAPI documents and snippets show it; the sidebar makes the same in TypeScript.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from jupyter_tfserve.types import DEFAULT_SIGNATURE, Signature, TensorSpec

PREDICT_METHOD: Final = "tensorflow/serving/predict"

_SAMPLES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("float", "double", "half", "bfloat16"), 1.0),
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"), 1),
    "bool": True,
    "string": "text",
}
"""A value of each dtype that REST can carry; the others (complex numbers, …) need gRPC."""
_BYTES_SUFFIX: Final = "_bytes"
_IMAGE_NAME: Final = re.compile(r"image|img|picture|photo|jpe?g|png", re.IGNORECASE)
_BYTES: Final = {"b64": "Ynl0ZXM="}
_PNG: Final = {
    "b64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg=="
}
"""A picture of one black pixel: TensorFlow's decoders take it where they take a JPEG file."""


MAX_SAMPLE_ELEMENTS: Final = 2**22
"""Of a larger row no sample is made: a model may declare any shape, and a sample must not cost more than a request."""


def is_json_dtype(dtype: str) -> bool:
    """Whether REST can carry tensors of that dtype."""
    return dtype in _SAMPLES


def is_image_name(alias: str) -> bool:
    """Whether an input of bytes that is called so most likely takes a picture's file."""
    return _IMAGE_NAME.search(alias) is not None


def choose_signature(signatures: Mapping[str, Signature]) -> tuple[str, Signature] | None:
    """The signature that an example is for: the default one if it predicts, else the first that does."""
    names = sorted(signatures, key=lambda name: (name != DEFAULT_SIGNATURE, name))
    for name in names:
        if signatures[name].method_name == PREDICT_METHOD and signatures[name].inputs:
            return name, signatures[name]
    return None


def example_document(signature: Signature, name: str = DEFAULT_SIGNATURE) -> dict[str, Any] | None:
    """A predict request with one row, in row format if that fits; None if REST cannot carry such a row."""
    is_carried = all(is_json_dtype(spec.dtype) for spec in signature.inputs.values())
    if not is_carried or sample_size(signature) > MAX_SAMPLE_ELEMENTS:
        return None
    head = {} if name == DEFAULT_SIGNATURE else {"signature_name": name}
    if not has_rows(signature):
        return {**head, "inputs": example_columns(signature)}
    row = {
        alias: _nested(alias, spec.dtype, (spec.shape or ())[1:]) for alias, spec in signature.inputs.items()
    }
    return {**head, "instances": [next(iter(row.values())) if len(row) == 1 else row]}


def example_columns(signature: Signature) -> dict[str, Any]:
    """One value of each input as nested lists, also of those dtypes that only gRPC carries."""
    return {alias: _nested(alias, spec.dtype, spec.shape) for alias, spec in signature.inputs.items()}


def sample_size(signature: Signature) -> int:
    """How many elements one row of every input has."""
    return sum(math.prod(max(size, 1) for size in spec.shape or ()) for spec in signature.inputs.values())


def has_rows(signature: Signature) -> bool:
    """Whether rows are free in number on both sides, which the row format needs."""
    specs = [*signature.inputs.values(), *signature.outputs.values()]
    return all(_is_batched(spec) for spec in signature.inputs.values()) and all(
        spec.shape is None or len(spec.shape) > 0 for spec in specs
    )


def _is_batched(spec: TensorSpec) -> bool:
    return bool(spec.shape) and spec.shape is not None and spec.shape[0] == -1


def _nested(alias: str, dtype: str, shape: tuple[int, ...] | None) -> Any:
    # An unknown rank is most often a batch: one element in one dimension suits it better than a scalar.
    dimensions = (1,) if shape is None else shape
    value = _sample(alias, dtype)
    for size in reversed(dimensions):
        value = [value] * (1 if size < 0 else size)
    return value


def _sample(alias: str, dtype: str) -> Any:
    if dtype == "string":
        if is_image_name(alias):
            return dict(_PNG)
        if alias.endswith(_BYTES_SUFFIX):
            return dict(_BYTES)
    return _SAMPLES.get(dtype, 1.0)
