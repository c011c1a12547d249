"""What the page fills in as a request: the model's example, or one made from the schema, which takes it."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from jsonschema import Draft202012Validator

from jupyter_tfserve.codec.openapi import openapi_document
from jupyter_tfserve.types import ModelSpec, Signature, TensorSpec
from tests.browser.conftest import ROOT, missing

SOURCE = ROOT / "jupyter_tfserve" / "extension" / "page" / "ask.js"
PREDICT, CLASSIFY = "tensorflow/serving/predict", "tensorflow/serving/classify"


def evaluate(expression, value=None):
    """The value of an expression over the page's functions and `value`."""
    if shutil.which("node") is None:
        missing("needs node")
    program = f"{SOURCE.read_text()}\nconst value = JSON.parse(require('fs').readFileSync(0));\n"
    program += f"console.log(JSON.stringify({expression}));"
    done = subprocess.run(
        ["node", "-e", program], input=json.dumps(value), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def tensor(dtype, *shape):
    return TensorSpec("", dtype, shape)


ROW = {"y": tensor("float", -1)}
SIGNATURES = {
    "serving_default": Signature(PREDICT, {"x": tensor("float", -1, 2)}, ROW),
    "large": Signature(
        PREDICT,
        {"x": tensor("uint8", -1, 64, 64, 3), "s": tensor("string", -1), "b": tensor("bool", -1)},
        ROW,
    ),
    "scores": Signature(CLASSIFY, {"inputs": tensor("string", -1)}, {"scores": tensor("float", -1, 1)}),
    "too_large": Signature(PREDICT, {"x": tensor("float", -1, 1000, 1000)}, ROW),
}


def test_every_request_is_one_that_the_schema_takes():
    document = openapi_document(ModelSpec("m"), 1, SIGNATURES)
    requests = evaluate("requestsOf(value)", document)
    names = ("serving_default", "large", "scores", "too_large")
    titles = [f"predict: {name}, {form}" for name in names for form in ("rows", "columns")]
    assert [request["title"] for request in requests] == [*titles, "classify"]
    for request in requests:
        media = document["paths"][f"/models/m:{request['verb']}"]["post"]["requestBody"]["content"][
            "application/json"
        ]
        if "too_large" in request["title"]:
            assert request["body"] is None
        else:
            validator = Draft202012Validator({**media["schema"], "components": document["components"]})
            validator.validate(json.loads(request["body"]))


def test_example_of_the_document_is_taken_when_it_has_one():
    first = evaluate("requestsOf(value)", openapi_document(ModelSpec("m"), 1, SIGNATURES))[0]
    assert json.loads(first["body"]) == {"instances": [[1.0, 1.0]]}


@pytest.mark.parametrize(
    ("model", "choice", "path"),
    [
        ("m", "latest", "v1/models/m"),
        ("a/b ü?", "versions/7", "v1/models/a%2Fb%20%C3%BC%3F/versions/7"),
        ("m", "labels/a b#c", "v1/models/m/labels/a%20b%23c"),
    ],
)
def test_path_is_encoded_when_names_are_any(model, choice, path):
    assert evaluate("modelPath(value.model, value.choice)", {"model": model, "choice": choice}) == path
