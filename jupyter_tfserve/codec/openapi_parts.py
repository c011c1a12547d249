"""The parts of an OpenAPI document that are the same for every model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from jupyter_tfserve.codec.tensor_schema import BYTES, BYTES_REF, Schema, list_of, named_schemas
from jupyter_tfserve.errors import Code
from jupyter_tfserve.types import DEFAULT_SIGNATURE

_TEXT: Final[Schema] = {"type": "string"}
_STATES: Final = ("UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END")
_FEATURE_VALUE: Final[Schema] = {"anyOf": [{"type": ["number", "boolean", "string"]}, dict(BYTES_REF)]}

CLASSIFY_ANSWER: Final[Schema] = named_schemas(
    {
        "results": list_of(
            list_of(
                {
                    "type": "array",
                    "description": "A label and its score",
                    "prefixItems": [_TEXT, {"type": "number"}],
                    "minItems": 2,
                    "maxItems": 2,
                }
            )
        )
    }
)
REGRESS_ANSWER: Final[Schema] = named_schemas({"results": list_of({"type": "number"})})

COMPONENTS: Final[Mapping[str, Any]] = {
    "schemas": {
        "Bytes": BYTES,
        "Error": {
            **named_schemas({"error": _TEXT}),
            "properties": {
                "error": {**_TEXT, "description": "TensorFlow Serving's text"},
                "hint": {**_TEXT, "description": "What to do next"},
            },
        },
        "ModelStatus": named_schemas(
            {
                "model_version_status": list_of(
                    named_schemas(
                        {
                            "version": {**_TEXT, "pattern": "^[0-9]+$"},
                            "state": {"enum": list(_STATES)},
                            "status": named_schemas(
                                {"error_code": {"enum": [code.name for code in Code]}, "error_message": _TEXT}
                            ),
                        }
                    )
                )
            }
        ),
        "ModelMetadata": named_schemas(
            {
                "model_spec": named_schemas({"name": _TEXT, "signature_name": _TEXT, "version": _TEXT}),
                "metadata": named_schemas({"signature_def": {"type": "object"}}),
            }
        ),
        "Example": {
            "type": "object",
            "description": "A tf.Example: features by the names that the model parses.",
            "additionalProperties": {"anyOf": [_FEATURE_VALUE, list_of(_FEATURE_VALUE)]},
        },
    },
    "responses": {
        "Error": {
            "description": "What is wrong",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    },
    "securitySchemes": {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "On the server's own port, where it needs keys.",
        },
        "jupyterToken": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "Behind Jupyter only: the word `token`, a space and the Jupyter server's token.",
        },
    },
}


def examples_request(keys: Sequence[str]) -> Schema:
    """A classify or regress request to one of these signatures."""
    example = {"$ref": "#/components/schemas/Example"}
    schema = named_schemas(
        {"signature_name": {"enum": list(keys)}, "context": example, "examples": list_of(example)}
    )
    required = ["examples"] if DEFAULT_SIGNATURE in keys else ["signature_name", "examples"]
    return {**schema, "required": required}


def get_operation(name: str, summary: str, schema: str) -> Schema:
    """A GET whose answer is one of the components."""
    return {
        "operationId": name,
        "summary": summary,
        "responses": _responses({"$ref": f"#/components/schemas/{schema}"}),
    }


def post_operation(
    name: str, request: Schema, answer: Schema, examples: Mapping[str, Any], others: Sequence[str] = ()
) -> Schema:
    """A POST of JSON, or of a body of one of the types in `others`, which have no schema."""
    media: Schema = {"schema": request}
    if examples:
        media["examples"] = dict(examples)
    binary: Schema = {other: {} for other in others}
    return {
        "operationId": name,
        "summary": f"Run the model: {name}",
        "requestBody": {"required": True, "content": {"application/json": media, **binary}},
        "responses": _responses(answer, binary),
    }


def _responses(answer: Schema, binary: Mapping[str, Any] = MappingProxyType({})) -> Schema:
    content = {"application/json": {"schema": answer}, **binary}
    return {
        "200": {"description": "The answer", "content": content},
        "default": {"$ref": "#/components/responses/Error"},
    }
