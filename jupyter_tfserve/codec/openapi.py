"""An OpenAPI 3.1 document of one model's REST API, made from its signatures. Pure.

Its server's address is relative to its own, so that it is right on the server's port and behind any prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from jupyter_tfserve.codec.classification import CLASSIFY_METHOD, classification_outputs
from jupyter_tfserve.codec.media_types import Media
from jupyter_tfserve.codec.openapi_parts import (
    CLASSIFY_ANSWER,
    COMPONENTS,
    REGRESS_ANSWER,
    examples_request,
    get_operation,
    post_operation,
)
from jupyter_tfserve.codec.regression import REGRESS_METHOD, regression_outputs
from jupyter_tfserve.codec.sample_request import (
    example_columns,
    example_document,
    has_rows,
    is_json_dtype,
    sample_size,
)
from jupyter_tfserve.codec.tensor_schema import Schema, input_schema, list_of, named_schemas, output_schema
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature

MAX_EXAMPLE_ELEMENTS: Final = 10_000
"""A larger request is left to its schema: the document is for people too."""

Json: TypeAlias = "dict[str, Any]"


def openapi_document(spec: ModelSpec, version: int, signatures: Mapping[str, Signature]) -> Json:
    """The document for whoever asks `spec`, answered by `version` now."""
    path = _model_path(spec)
    paths: Json = {
        path: {"get": get_operation("status", "The states of the versions", "ModelStatus")},
        f"{path}/metadata": {"get": get_operation("metadata", "The signatures", "ModelMetadata")},
    }
    for verb, operation in _inference(signatures):
        paths[f"{path}:{verb}"] = {"post": operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": spec.name, "version": str(version), "description": _DESCRIPTION},
        "servers": [{"url": _server_url(spec)}],
        "security": [{}, {"key": []}, {"jupyterToken": []}],
        "paths": paths,
        "components": COMPONENTS,
    }


_DESCRIPTION: Final = (
    "TensorFlow Serving's REST API of this model. Answers may hold the bare words NaN, Infinity and -Infinity, "
    "which strict JSON has not."
)


def _model_path(spec: ModelSpec) -> str:
    path = f"/models/{quote(spec.name, safe='')}"
    if spec.version is not None:
        return f"{path}/versions/{spec.version}"
    return path if spec.label is None else f"{path}/labels/{quote(spec.label, safe='')}"


def _server_url(spec: ModelSpec) -> str:
    """From `…/v1/models/M/openapi.json` or below to `…/v1`, which relative addresses reach by its parent only."""
    is_model = spec.version is None and spec.label is None
    return "../" * (3 if is_model else 5) + "v1"


def _inference(signatures: Mapping[str, Signature]) -> Iterator[tuple[str, Json]]:
    """The verbs that these signatures allow, each with its operation."""
    chosen = sorted(signatures.items(), key=lambda item: (item[0] != DEFAULT_SIGNATURE, item[0]))
    predicting = {key: signature for key, signature in chosen if _can_predict(key, signature)}
    if predicting:
        yield "predict", _predict(predicting)
    classifying = [key for key, signature in chosen if _takes(signature, classification_outputs)]
    if classifying:
        yield "classify", post_operation("classify", examples_request(classifying), CLASSIFY_ANSWER, {})
    regressing = [key for key, signature in chosen if _takes(signature, regression_outputs)]
    if regressing:
        yield "regress", post_operation("regress", examples_request(regressing), REGRESS_ANSWER, {})


def _can_predict(key: str, signature: Signature) -> bool:
    specs = [*signature.inputs.values(), *signature.outputs.values()]
    return (
        not key.startswith("__")
        and bool(signature.inputs and signature.outputs)
        and all(is_json_dtype(spec.dtype) for spec in specs)
    )


def _takes(signature: Signature, outputs_of: Any) -> bool:
    """Whether Examples may be sent: the check that a request of that kind meets."""
    try:
        outputs_of(signature)
    except ServingError:
        return False
    return all(spec.dtype == "string" for spec in signature.inputs.values())


def _predict(signatures: Mapping[str, Signature]) -> Json:
    requests: list[Schema] = []
    answers: list[Schema] = []
    examples: Json = {}
    for key, signature in signatures.items():
        head = _head(key)
        is_shown = _has_example(signature)
        if has_rows(signature):
            title = f"{key}, rows"
            requests.append(_request(title, head, "instances", _rows(signature)))
            answers.append(named_schemas({"predictions": _predictions(signature)}))
            if is_shown:
                examples[title] = {"summary": title, "value": example_document(signature, key)}
        title = f"{key}, columns"
        requests.append(_request(title, head, "inputs", _inputs(signature)))
        answers.append(named_schemas({"outputs": _outputs(signature)}))
        if is_shown:
            examples[title] = {"summary": title, "value": _columns(key, signature)}
    others = [media.value for media in Media if media is not Media.JSON]
    return post_operation("predict", {"anyOf": requests}, {"anyOf": answers}, examples, others)


def _has_example(signature: Signature) -> bool:
    """Unless it is too large, or the input is serialized Examples, whose features nobody has written down."""
    return sample_size(signature) <= MAX_EXAMPLE_ELEMENTS and not _wants_examples(signature)


def _columns(key: str, signature: Signature) -> Json:
    head = {} if key == DEFAULT_SIGNATURE else {"signature_name": key}
    return {**head, "inputs": example_columns(signature)}


def _head(key: str) -> Json:
    """The `signature_name` that chooses a signature; the default one needs none."""
    return {"signature_name": {"const": key}}


def _request(title: str, head: Json, member: str, values: Schema) -> Schema:
    schema = named_schemas({**head, member: values})
    if head["signature_name"]["const"] == DEFAULT_SIGNATURE:
        schema["required"] = [member]
    return {"title": title, **schema}


def _rows(signature: Signature) -> Schema:
    row = {alias: input_schema(spec, is_row=True) for alias, spec in signature.inputs.items()}
    named = named_schemas(row)
    if len(row) == 1:
        return list_of({"anyOf": [next(iter(row.values())), named]})
    return list_of(named)


def _inputs(signature: Signature) -> Schema:
    columns = {alias: input_schema(spec) for alias, spec in signature.inputs.items()}
    named = named_schemas(columns)
    return {"anyOf": [next(iter(columns.values())), named]} if len(columns) == 1 else named


def _predictions(signature: Signature) -> Schema:
    row = {alias: output_schema(alias, spec, is_row=True) for alias, spec in signature.outputs.items()}
    return list_of(next(iter(row.values())) if len(row) == 1 else named_schemas(row))


def _outputs(signature: Signature) -> Schema:
    columns = {alias: output_schema(alias, spec) for alias, spec in signature.outputs.items()}
    return next(iter(columns.values())) if len(columns) == 1 else named_schemas(columns)


def _wants_examples(signature: Signature) -> bool:
    """Whether it was made for classify or regress, by its method or, as TensorFlow 2 saves it, by its form."""
    if signature.method_name in (CLASSIFY_METHOD, REGRESS_METHOD):
        return True
    return _takes(signature, classification_outputs) or _takes(signature, regression_outputs)
