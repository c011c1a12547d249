"""Example inputs and rows of requests: valid for the signature they were made from."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.notebook.snippets import (
    PREDICT_METHOD,
    choose_signature,
    columns_of_document,
    example_columns,
    example_document,
    one_row,
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


@pytest.mark.parametrize(
    ("document", "inputs", "row"),
    [
        ({"instances": [[1.0], [2.0]]}, {"x": ("float", (-1, 1))}, {"instances": [[1.0]]}),
        ({"instances": np.ones((5, 2))}, {"x": ("float", (-1, 2))}, {"instances": [[1.0, 1.0]]}),
        (
            {"inputs": {"a": [1, 2], "b": ["x", "y"]}},
            {"a": ("int8", (-1,)), "b": ("string", (-1,))},
            {"inputs": {"a": [1], "b": ["x"]}},
        ),
        ({"inputs": {"x": [1.0, 2.0]}}, {"x": ("float", (2,))}, {"inputs": {"x": [1.0, 2.0]}}),
        ({"instances": [b"\x00"]}, {"x": ("string", (-1,))}, {"instances": [{"b64": "AA=="}]}),
        ({"inputs": 5}, {"x": ("float", ())}, {"inputs": 5}),
        ({"instances": [[np.nan]]}, {"x": ("float", (-1, 1))}, None),
        ({"instances": []}, {"x": ("float", (-1, 1))}, None),
    ],
)
def test_row_is_cut_out_as_plain_json_when_a_request_is_given(document, inputs, row):
    assert one_row(document, signature(**inputs)) == row


@pytest.mark.parametrize(
    ("document", "columns"),
    [
        ({"instances": [[1.0]]}, {"a": [[1.0]]}),
        ({"instances": [{"a": 1, "b": 2}]}, {"a": [1], "b": [2]}),
        ({"instances": [{"b64": "AA=="}]}, {"a": [{"b64": "AA=="}]}),
        ({"inputs": {"a": 1, "b": 2}}, {"a": 1, "b": 2}),
        ({"inputs": [1]}, {"a": [1]}),
        ({"instances": np.array([[1.0], [2.0]])}, {"a": [[1.0], [2.0]]}),
    ],
)
def test_columns_are_by_alias_when_a_request_is_any(document, columns):
    found = columns_of_document(document, signature(a=("float", None), b=("float", None)))
    assert {alias: np.asarray(column).tolist() for alias, column in found.items()} == columns


def test_columns_hold_every_dtype_when_they_are_examples():
    found = signature(a=("half", (-1, 2)), b=("complex64", ()))
    assert example_columns(found) == {"a": [[1.0, 1.0]], "b": 1.0}
