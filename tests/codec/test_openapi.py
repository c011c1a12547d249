"""OpenAPI documents from signatures: valid for any, with addresses that lead back to the server."""

from __future__ import annotations

import json
from urllib.parse import unquote, urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from jupyter_tfserve.codec.openapi import openapi_document
from jupyter_tfserve.codec.sample_request import PREDICT_METHOD, example_document
from jupyter_tfserve.dataplane.openapi import MAX_DOCUMENTS, OpenApiDocuments
from jupyter_tfserve.types import ModelSpec, Signature, TensorSpec

DTYPES = [
    "float",
    "double",
    "half",
    "bfloat16",
    "int8",
    "uint16",
    "int64",
    "uint64",
    "bool",
    "string",
    "complex64",
]
shapes = st.none() | st.lists(st.integers(-1, 3), max_size=3).map(tuple)
tensors = st.dictionaries(
    st.text(max_size=6), st.builds(TensorSpec, st.just(""), st.sampled_from(DTYPES), shapes), max_size=3
)


def signature(inputs, outputs, method=PREDICT_METHOD):
    def specs(described):
        return {alias: TensorSpec("", dtype, shape) for alias, (dtype, shape) in described.items()}

    return Signature(method, specs(inputs), specs(outputs))


ROWS = signature({"x": ("float", (-1, 2))}, {"y": ("float", (-1, 1))})


def predict_of(found, name="serving_default", spec=None):
    document = openapi_document(spec or ModelSpec("m"), 1, {name: found})
    operation = document["paths"]["/models/m:predict"]["post"]
    request = operation["requestBody"]["content"]["application/json"]
    return Draft202012Validator({**request["schema"], "components": document["components"]}), request


@given(st.dictionaries(st.text(max_size=6), st.builds(Signature, st.just(PREDICT_METHOD), tensors, tensors)))
@settings(max_examples=40, deadline=None)
def test_document_is_valid_and_fits_its_examples_when_signatures_are_any(signatures):
    document = json.loads(json.dumps(openapi_document(ModelSpec("a {b}/c"), 7, signatures)))
    validate(document)
    for path, item in document["paths"].items():
        request = item.get("post", {}).get("requestBody")
        if request is not None:
            media = request["content"]["application/json"]
            schema = {**media["schema"], "components": document["components"]}
            for example in media.get("examples", {}).values():
                Draft202012Validator(schema).validate(example["value"])
        assert unquote(path).startswith("/models/a {b}/c")


@pytest.mark.parametrize("prefix", ["http://h:8501", "https://hub/user/ann/jupyter-tfserve"])
@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (ModelSpec("m"), "/models/m"),
        (ModelSpec("m", 3), "/models/m/versions/3"),
        (ModelSpec("a/b ü", label="l:m"), "/models/a%2Fb%20%C3%BC/labels/l%3Am"),
    ],
)
def test_server_is_found_when_the_document_lies_behind_a_prefix(prefix, spec, path):
    document = openapi_document(spec, 3, {"serving_default": ROWS})
    server = urljoin(f"{prefix}/v1{path}/openapi.json", document["servers"][0]["url"])
    assert server == f"{prefix}/v1"
    assert list(document["paths"]) == [path, f"{path}/metadata", f"{path}:predict"]


@pytest.mark.parametrize(
    ("found", "good", "bad"),
    [
        (
            ROWS,
            [{"instances": [[1, 2.5]]}, {"instances": [{"x": [1, 2]}]}, {"inputs": [[1, 2]]}],
            [{"instances": [[1]]}, {"instances": [["1", 2]]}, {"inputs": {"z": [[1, 2]]}}, {}],
        ),
        (
            signature({"a": ("uint8", (-1,)), "b": ("string", (-1,))}, {"y": ("float", (-1,))}),
            [{"instances": [{"a": 255, "b": "t"}]}, {"inputs": {"a": [0], "b": [{"b64": "AA=="}]}}],
            [{"instances": [{"a": 256, "b": "t"}]}, {"instances": [{"a": 1}]}, {"inputs": [1]}],
        ),
        (
            signature({"x": ("double", ())}, {"y": ("double", ())}),
            [{"inputs": 1.5}, {"inputs": {"x": 2}}],
            [{"instances": [1.5]}, {"inputs": True}],
        ),
        (
            signature({"x": ("int64", None)}, {"y": ("int64", None)}),
            [{"inputs": 1}, {"inputs": [[[1]]]}],
            [{"inputs": 1.5}],
        ),
    ],
    ids=["rows", "two inputs", "scalar", "unknown rank"],
)
def test_request_is_told_from_a_wrong_one_when_checked_by_the_schema(found, good, bad):
    validator, _ = predict_of(found)
    assert [document for document in good if not validator.is_valid(document)] == []
    assert [document for document in bad if validator.is_valid(document)] == []


def test_signature_is_named_when_it_is_not_the_default():
    validator, request = predict_of(ROWS, "other")
    assert not validator.is_valid({"instances": [[1, 2]]})
    assert validator.is_valid({"signature_name": "other", "instances": [[1, 2]]})
    assert [example["value"] for example in request["examples"].values()] == [
        {"signature_name": "other", "instances": [[1.0, 1.0]]},
        {"signature_name": "other", "inputs": {"x": [[1.0, 1.0]]}},
    ]


@pytest.mark.parametrize("shape", [(-1, 224, 224, 3), (-1, 2**62, 2**62, 9), (-1, 0, 2**40, 2)])
def test_example_is_left_out_when_it_is_too_large(shape):
    image = signature({"x": ("float", shape)}, {"y": ("float", (-1,))})
    assert example_document(image) is None or shape[1] == 224
    validator, request = predict_of(image)
    assert "examples" not in request
    assert not validator.is_valid({"instances": [[[[1]]]]})


def test_predict_is_left_out_when_rest_cannot_carry_it():
    signatures = {
        "serving_default": signature({"x": ("complex64", ())}, {"y": ("float", ())}),
        "__saved_model_init_op": ROWS,
        "empty": signature({}, {"y": ("float", ())}),
    }
    assert list(openapi_document(ModelSpec("m"), 1, signatures)["paths"]) == [
        "/models/m",
        "/models/m/metadata",
    ]


def test_document_is_made_once_for_a_version_and_again_for_the_next():
    documents, signatures = OpenApiDocuments(), {"serving_default": ROWS}
    first = documents.document(ModelSpec("m"), 1, signatures)
    assert documents.document(ModelSpec("m"), 1, signatures) is first
    second = documents.document(ModelSpec("m"), 2, dict(signatures))
    assert json.loads(second)["info"]["version"] == "2"


def test_documents_are_bounded_when_many_are_asked_for():
    documents, signatures = OpenApiDocuments(), {"serving_default": ROWS}
    first = documents.document(ModelSpec("m0"), 1, signatures)
    for index in range(1, MAX_DOCUMENTS + 1):
        documents.document(ModelSpec(f"m{index}"), 1, signatures)
    assert documents.document(ModelSpec("m0"), 1, signatures) is not first
