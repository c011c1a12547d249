"""A REST classify or regress request into serialized `tf.Example`s, and the answers' bodies.

A body of examples is parsed whole before the model is looked up, as TensorFlow Serving does: nothing in it
depends on the signature. The spelling of an element decides its feature's kind: `2` is an int64, `2.0` a
float.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from jupyter_tfserve.codec.classification import Classifications
from jupyter_tfserve.codec.examples import ExampleInput
from jupyter_tfserve.codec.json_debug import debug_text, quote
from jupyter_tfserve.codec.json_floats import printed_doubles
from jupyter_tfserve.codec.json_number_text import FLOAT_LOOP_SIZE, float32_text, float32_texts
from jupyter_tfserve.codec.json_reader import read_plain
from jupyter_tfserve.codec.json_values import (
    JsonObject,
    JsonValue,
    decode_base64,
    is_base64,
    members,
    text_bytes,
    type_name,
)
from jupyter_tfserve.codec.protos import Example, Feature
from jupyter_tfserve.codec.regression import Regressions
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Tensor

_MAX_INT64: Final = 2**63 - 1
_KINDS: Final = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}
"""A feature's kinds by their field, as error texts name them."""


@dataclass(frozen=True, slots=True)
class ExampleDocument:
    """A parsed classify or regress body. `signature_name` is empty if the caller named none."""

    signature_name: str
    input: ExampleInput


def parse_examples(body: bytes, limits: LimitOptions) -> ExampleDocument:
    """The examples in `body` with their context; INVALID_ARGUMENT in TensorFlow Serving's words."""
    # Arrays in buffers would have lost which of their numbers were integers.
    document = read_plain(body, limits.max_json_depth).value()
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {debug_text(document)} Is not object")
    signature_name = document.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise _document_error(
            document, "not formatted correctly. 'signature_name' key must be a string value."
        )
    context = _example(document["context"]) if "context" in document else b""
    if "examples" not in document:
        raise _document_error(
            document, "When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise _document_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _document_error(document, "'examples' value is an empty array")
    return ExampleDocument(signature_name, ExampleInput([_example(value) for value in examples], context))


def encode_classify(classifications: Classifications) -> bytes:
    """The body `{"results": [[["label", score], …], …]}`: a missing label is empty, a missing score 0.0.

    INVALID_ARGUMENT for no results at all.
    """
    if not classifications.batch_size:
        raise invalid_argument("Cannot convert empty ClassificationResults to JSON")
    labels, scores = classifications.labels, classifications.scores
    known = labels if labels is not None else scores
    count = 0 if known is None else known.size
    label_texts = [b'""'] * count if labels is None else [quote(text) for text in labels.ravel().tolist()]
    score_texts = [b"0.0"] * count if scores is None else _float_texts(scores)
    pairs = [b"[%b, %b]" % pair for pair in zip(label_texts, score_texts, strict=True)]
    width = count // classifications.batch_size
    rows = (pairs[row * width : (row + 1) * width] for row in range(classifications.batch_size))
    text = b", ".join([b"[" + b", ".join(row) + b"]" for row in rows])
    return b'{\n    "results": [' + text + b"\n    ]\n}"


def encode_regress(regressions: Regressions) -> bytes:
    """The body `{"results": [value, …]}`; INVALID_ARGUMENT for no results at all."""
    if not regressions.values.size:
        raise invalid_argument("Cannot convert empty RegressionResults to JSON")
    return b'{\n    "results": [' + b", ".join(_float_texts(regressions.values)) + b"]\n}"


def _document_error(document: JsonObject, text: str) -> Exception:
    return invalid_argument(f"JSON Value: {debug_text(document)} {text}")


def _example(value: JsonValue) -> bytes:
    """A serialized Example. A repeated feature's last value counts."""
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {type_name(value)}")
    example = Example()
    # An empty object is an Example with features, none of them.
    example.features.SetInParent()
    features = example.features.feature
    for name, element in members(value):
        feature = _feature(name, element)
        features[_feature_name(name)].CopyFrom(feature)
    encoded: bytes = example.SerializeToString()
    return encoded


def _feature_name(name: str) -> str:
    try:
        text_bytes(name).decode()
    except UnicodeDecodeError:
        raise invalid_argument("The name of a feature is not valid UTF-8") from None
    return name


def _feature(name: str, value: JsonValue) -> Any:
    """The Feature; a list of nothing has no kind."""
    elements = value if isinstance(value, list) else [value]
    feature = Feature()
    if elements:
        kind = _kind(name, elements[0])
        getattr(feature, kind).value.extend(_elements(name, elements, kind))
    return feature


def _elements(name: str, elements: list[Any], kind: str) -> list[Any]:
    """The elements as a feature's list of that kind takes them."""
    types = set(map(type, elements))
    if types == {float} or (types == {int} and max(elements) <= _MAX_INT64):
        return elements
    values = []
    for element in elements:
        if _kind(name, element) != kind:
            raise invalid_argument(
                f"Unexpected element type in feature: {name} expecting type: {_KINDS[kind]}"
            )
        values.append(_element(name, element))
    return values


def _kind(name: str, element: JsonValue) -> str:
    """The field of a feature that holds such an element."""
    if isinstance(element, int):  # bool is one of them
        return "int64_list"
    if isinstance(element, float):
        return "float_list"
    if isinstance(element, str) or is_base64(element):
        return "bytes_list"
    raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {type_name(element)}")


def _element(name: str, element: JsonValue) -> bytes | float | int:
    if isinstance(element, str):
        return text_bytes(element)
    if isinstance(element, dict):
        return decode_base64(str(element["b64"]))
    if isinstance(element, float):
        return element
    if isinstance(element, int) and element <= _MAX_INT64:
        return int(element)
    raise invalid_argument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")


def _float_texts(tensor: Tensor) -> list[bytes]:
    """The text of each float32, in order; NaN and infinities as bare tokens."""
    if tensor.size <= FLOAT_LOOP_SIZE:
        return [text.encode() for text in float32_texts(tensor.ravel().tolist())]
    values: list[float] = printed_doubles(tensor).ravel().tolist()
    texts = orjson.dumps(values)[1:-1].split(b",")
    # orjson has null for what JSON has no token for.
    return [float32_text(values[at]).encode() if text == b"null" else text for at, text in enumerate(texts)]
