"""Rows cut out of requests: valid for the signature that these were for."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.client.documents import columns_of_document
from jupyter_tfserve.codec.sample_request import PREDICT_METHOD
from jupyter_tfserve.notebook.snippet_view import Snippets
from jupyter_tfserve.notebook.snippets import one_row
from jupyter_tfserve.types import Signature, TensorSpec


def signature(outputs=None, method=PREDICT_METHOD, **inputs):
    def specs(shapes):
        return {alias: TensorSpec("", dtype, shape) for alias, (dtype, shape) in shapes.items()}

    return Signature(method, specs(inputs), specs(outputs or {"y": ("float", (-1,))}))


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


def test_languages_are_listed_as_of_a_dict_when_snippets_are_iterated():
    snippets = Snippets("m", {"bash": "curl", "python": "requests"})
    assert list(snippets) == ["bash", "python"]
    assert {language: snippets[language] for language in snippets} == snippets.texts
    assert len(snippets) == 2
