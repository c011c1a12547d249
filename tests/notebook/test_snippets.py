"""Example inputs and curl lines: valid for the signature they were made from."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from jupyter_tfserve.notebook.snippets import PREDICT_METHOD, choose_signature, curl_line, example_document
from jupyter_tfserve.types import ModelSpec, Signature, TensorSpec


def signature(outputs=None, method=PREDICT_METHOD, **inputs):
    def specs(shapes):
        return {alias: TensorSpec("", dtype, shape) for alias, (dtype, shape) in shapes.items()}

    return Signature(method, specs(inputs), specs(outputs or {"y": ("float", (-1,))}))


@pytest.mark.parametrize(
    ("inputs", "document"),
    [
        ({"x": ("float", (-1, 3))}, {"instances": [[1.0, 1.0, 1.0]]}),
        ({"x": ("float", (-1,))}, {"instances": [1.0]}),
        ({"x": ("int64", (-1, -1))}, {"instances": [[1]]}),
        ({"x": ("bool", (-1, 1)), "s": ("string", (-1,))}, {"instances": [{"x": [True], "s": "text"}]}),
        ({"x": ("float", (3,))}, {"inputs": {"x": [1.0, 1.0, 1.0]}}),
        ({"x": ("float", ())}, {"inputs": {"x": 1.0}}),
        ({"x": ("float", None)}, {"inputs": {"x": [1.0]}}),
        ({"x": ("float", (-1,)), "k": ("int32", ())}, {"inputs": {"x": [1.0], "k": 1}}),
        ({"x": ("half", (-1,))}, None),
    ],
)
def test_example_fits_the_inputs_when_made(inputs, document):
    assert example_document(signature(**inputs)) == document


def test_example_is_columnar_when_an_output_has_no_rows():
    assert example_document(signature({"y": ("float", ())}, x=("float", (-1,)))) == {"inputs": {"x": [1.0]}}


def test_example_names_the_signature_when_it_is_not_the_default():
    document = example_document(signature(x=("float", (-1,))), "other")
    assert document == {"signature_name": "other", "instances": [1.0]}


def test_default_signature_is_chosen_when_it_predicts():
    found = signature(x=("float", (-1,)))
    assert choose_signature({"a": found, "serving_default": found})[0] == "serving_default"
    other = signature(method="tensorflow/serving/classify", x=("string", (-1,)))
    assert choose_signature({"a": found, "serving_default": other})[0] == "a"
    assert choose_signature({"serving_default": other, "empty": signature()}) is None


def test_curl_line_survives_the_shell_when_the_text_holds_quotes():
    line = curl_line("http://h:1/", ModelSpec("it's"), {"instances": ["don't"]})
    words = shlex.split(line)
    assert words == ["curl", "-d", '{"instances": ["don\'t"]}', "http://h:1/v1/models/it%27s:predict"]


def test_curl_line_makes_the_body_by_program_when_it_is_large():
    document = example_document(signature(x=("float", (-1, 28, 28, 1)), m=("bool", (-1, 2))))
    line = curl_line("http://h:1", ModelSpec("m", label="l"), document)
    assert len(line) < 300
    program, pipe = line.split(" | ")
    words = shlex.split(program)
    assert words[0] == "python"
    made = subprocess.run([sys.executable, *words[1:]], capture_output=True, check=True)
    assert json.loads(made.stdout) == document
    assert pipe == "curl -d @- http://h:1/v1/models/m/labels/l:predict"
