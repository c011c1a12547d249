"""Requests made from a signature: of its dtypes and shapes, in the format that it allows."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from jupyter_tfserve.codec.sample_request import (
    PREDICT_METHOD,
    choose_signature,
    example_columns,
    example_document,
)
from jupyter_tfserve.types import Signature, TensorSpec


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
        ({"x": ("half", (-1,))}, {"instances": [1.0]}),
        ({"x": ("uint16", (2,))}, {"inputs": {"x": [1, 1]}}),
        ({"x_bytes": ("string", (-1,))}, {"instances": [{"b64": "Ynl0ZXM="}]}),
        ({"x": ("complex64", (-1,))}, None),
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


def test_columns_hold_every_dtype_when_they_are_examples():
    found = signature(a=("half", (-1, 2)), b=("complex64", ()))
    assert example_columns(found) == {"a": [[1.0, 1.0]], "b": 1.0}


@pytest.mark.parametrize("alias", ["images", "jpeg_bytes", "inputImg", "a.png"])
def test_example_is_a_picture_when_an_input_of_bytes_is_called_one(alias):
    (row,) = example_document(signature(**{alias: ("string", (-1,))}))["instances"]
    assert Image.open(io.BytesIO(base64.b64decode(row["b64"]))).size == (1, 1)
    pixels = example_document(signature(**{alias: ("float", (-1, 1))}))
    assert pixels == {"instances": [[1.0]]}
