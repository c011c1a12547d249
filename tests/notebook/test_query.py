"""Targets and bodies of a query, as people write them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.query import evaluate, evaluate_body, parse_target, predict_document
from jupyter_tfserve.types import ModelSpec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("m", ModelSpec("m")),
        ("m@production", ModelSpec("m", label="production")),
        ("m/2", ModelSpec("m", version=2)),
        ("a@b@c", ModelSpec("a@b", label="c")),
    ],
)
def test_target_is_read_when_well_formed(text, spec):
    assert parse_target(text) == spec


@pytest.mark.parametrize("text", ["", "m@", "@l", "/2", "m/", "m/x", "m/+1", "m/99999999999999999999"])
def test_target_is_refused_with_a_hint_when_malformed(text):
    with pytest.raises(ServingError) as caught:
        parse_target(text)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.hint


@given(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.integers(0, 2**63 - 1))
def test_target_names_the_version_when_one_is_given(name, version):
    assert parse_target(f"{name}/{version}") == ModelSpec(name, version)


@pytest.mark.parametrize(
    ("inputs", "document"),
    [
        ([[1.0]], {"instances": [[1.0]]}),
        (([1.0], [2.0]), {"instances": [[1.0], [2.0]]}),
        ({"x": [1]}, {"inputs": {"x": [1]}}),
        ({"instances": [1]}, {"instances": [1]}),
        ({"inputs": {"x": 1}}, {"inputs": {"x": 1}}),
        (5.0, {"inputs": 5.0}),
        ("text", {"inputs": "text"}),
        (np.float32(2), {"inputs": np.float32(2)}),
    ],
)
def test_document_follows_the_shape_of_the_inputs_when_made(inputs, document):
    assert predict_document(inputs) == document


def test_document_has_rows_when_the_input_is_an_array():
    rows = np.zeros((2, 3))
    assert predict_document(rows)["instances"] is rows


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[[1.0], [2.0]]", [[1.0], [2.0]]),
        ('{"instances": [true, null]}', {"instances": [True, None]}),
        ("[True, None]", [True, None]),
        ("x[:1]\n", [7]),
        ("(\n  x\n)", [7, 8]),
    ],
)
def test_body_is_json_or_python_when_evaluated(text, value):
    assert evaluate_body(text, {"x": [7, 8]}) == value


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("  \n", "empty"),
        ("[1.0,, 2]", "neither JSON nor a Python expression"),
        ("a = 1", "neither JSON nor a Python expression"),
        ("missing[:5]", "NameError: name 'missing' is not defined"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_body_is_refused_in_one_line_when_it_has_no_value(text, part):
    with pytest.raises(ServingError) as caught:
        evaluate_body(text, {})
    assert part in caught.value.message
    assert "\n" not in caught.value.message


def test_evaluation_leaves_the_namespace_alone_when_it_assigns():
    namespace = {}
    assert evaluate("(y := 3)", namespace) == 3
    assert namespace == {}
