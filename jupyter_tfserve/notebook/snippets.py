"""A real input of a model, made from its signature, and the line that sends it from a terminal. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final

from jupyter_tfserve.engine.client import predict_path
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature, TensorSpec

PREDICT_METHOD: Final = "tensorflow/serving/predict"
LONGEST_BODY: Final = 400
"""Characters of a body that a person still reads; a longer one is written as the program that makes it."""

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


def curl_line(rest_url: str, spec: ModelSpec, document: Mapping[str, Any]) -> str:
    """The shell command that sends `document`; a large body is made by Python in a pipe."""
    url = shlex.quote(rest_url.rstrip("/") + predict_path(spec))
    body = json.dumps(document)
    if len(body) <= LONGEST_BODY:
        return f"curl -d {shlex.quote(body)} {url}"
    program = f"import json; print(json.dumps({_expression(document)}))"
    return f"python -c {shlex.quote(program)} | curl -d @- {url}"


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
    value = _EXAMPLES[dtype]
    for size in reversed(dimensions):
        value = [value] * (1 if size < 0 else size)
    return value


def _expression(value: object) -> str:
    """Python source of a nested value, with repeated elements written as a product."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_expression(item)}" for key, item in value.items()) + "}"
    if not isinstance(value, list) or not value:
        return repr(value)
    # `_nested` repeats one element, so the first stands for all of them.
    return f"[{_expression(value[0])}]" + (f" * {len(value)}" if len(value) > 1 else "")
