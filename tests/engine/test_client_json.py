"""Predict documents: numpy out, JSON in, and back, with the values that JSON is bad at."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jupyter_tfserve.engine.client_json import encode_body, parse_answer
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Signature, TensorSpec

SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)
NUMBERS = st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_])


def _echo(array, dtype):
    """The array after a server that answers with what it was sent."""
    sent = json.loads(encode_body({"instances": array}))["instances"]
    signature = Signature("", {}, {"y": TensorSpec("", dtype, None)})
    return parse_answer(json.dumps({"predictions": sent}).encode(), signature)


@given(NUMBERS.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)))
def test_numbers_come_back_the_same_when_echoed(array):
    names = {"float32": "float", "float64": "double", "int32": "int32", "int64": "int64"}
    names |= {"uint8": "uint8", "bool": "bool"}
    answer = _echo(array, names[array.dtype.name])
    assert answer.dtype == array.dtype
    np.testing.assert_array_equal(answer, array)


@given(st.lists(st.binary(), min_size=1))
def test_bytes_come_back_the_same_when_echoed(values):
    body = json.loads(encode_body({"instances": np.array(values, dtype=object)}))
    answer = parse_answer(json.dumps({"predictions": body["instances"]}).encode())
    assert answer.dtype == object
    assert answer.tolist() == values


def test_body_keeps_nan_and_infinity_when_present():
    assert json.loads(encode_body({"inputs": np.array([np.nan, np.inf])}))["inputs"] == [
        pytest.approx(np.nan, nan_ok=True),
        np.inf,
    ]


def test_body_takes_views_scalars_and_array_likes_when_given():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array([1, 2])

    document = {"a": np.arange(6).reshape(2, 3).T, "b": np.float32(1.5), "c": Tensor(), "d": "text"}
    assert json.loads(encode_body(document)) == {
        "a": [[0, 3], [1, 4], [2, 5]],
        "b": 1.5,
        "c": [1, 2],
        "d": "text",
    }


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()])])
def test_body_is_refused_when_json_cannot_hold_it(value):
    with pytest.raises(ServingError) as caught:
        encode_body({"instances": value})
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_rows_of_several_outputs_become_columns_when_parsed():
    answer = parse_answer(b'{"predictions": [{"a": [1, 2], "b": "x"}, {"a": [3, 4], "b": "longer"}]}')
    np.testing.assert_array_equal(answer["a"], [[1, 2], [3, 4]])
    assert answer["b"].tolist() == ["x", "longer"]
    assert answer["b"].dtype == object


def test_columns_are_kept_when_the_answer_is_columnar():
    assert parse_answer(b'{"outputs": 5.0}') == 5.0
    assert parse_answer(b'{"outputs": {"a": [1], "b": [true]}}')["b"].tolist() == [True]
    assert parse_answer(b'{"outputs": {"b64": "aGk="}}').item() == b"hi"


def test_bare_nan_is_read_when_the_server_prints_it():
    answer = parse_answer(b'{"predictions": [NaN, -Infinity, 1.0]}')
    np.testing.assert_array_equal(answer, [np.nan, -np.inf, 1.0])


def test_foreign_bytes_are_read_when_strings_are_not_utf8():
    answer = parse_answer(b'{"predictions": ["a\xff"]}')
    assert answer[0].encode("utf-8", "surrogateescape") == b"a\xff"


def test_values_are_kept_when_the_signature_is_of_another_version():
    signature = Signature("", {}, {"y": TensorSpec("", "int32", None)})
    answer = parse_answer(b'{"predictions": [1.5]}', signature)
    assert answer.tolist() == [1.5]


def test_empty_answer_has_the_outputs_dtype_when_there_are_no_rows():
    signature = Signature("", {}, {"y": TensorSpec("", "int64", (-1,))})
    assert parse_answer(b'{"predictions": []}', signature).dtype == np.int64


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'{"outputs": {"b64": "a"}}'])
def test_answer_is_refused_when_it_is_none(body):
    with pytest.raises(ServingError) as caught:
        parse_answer(body)
    assert caught.value.code is Code.INTERNAL
