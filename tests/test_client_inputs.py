"""What the client's callers pass, as a signature's tensors: what is taken, what would change, what is refused."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jupyter_tfserve.client.inputs import bind_inputs, to_tensor
from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Signature, TensorSpec


def spec(dtype):
    return TensorSpec("x:0", dtype, (-1,))


def signature(**dtypes):
    return Signature("", {alias: spec(dtype) for alias, dtype in dtypes.items()}, {})


@pytest.mark.parametrize(
    ("value", "dtype", "tensor"),
    [
        ([1.5, 2], "float", np.float32([1.5, 2])),
        ([1, 2], "float", np.float32([1, 2])),
        ([1, 255], "uint8", np.uint8([1, 255])),
        ([-1], "int64", np.int64([-1])),
        (np.int64([2**31 - 1]), "int32", np.int32([2**31 - 1])),
        ([1.5], "half", np.float16([1.5])),
        ([1.5], "bfloat16", np.array([1.5], ml_dtypes.bfloat16)),
        ([True], "bool", np.array([True])),
        ([1, 2.5j], "complex64", np.complex64([1, 2.5j])),
        ([np.nan, np.inf], "float", np.float32([np.nan, np.inf])),
        (3, "float", np.float32(3)),
        ([], "int32", np.int32([])),
    ],
)
def test_numbers_get_the_input_type_when_no_value_changes(value, dtype, tensor):
    bound = to_tensor(value, spec(dtype), "x")
    assert bound.dtype == DTYPES[dtype].numpy
    assert bound.shape == tensor.shape
    np.testing.assert_array_equal(bound, tensor)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1.5], "int32"),
        ([256], "uint8"),
        ([-1], "uint8"),
        ([2**31], "int32"),
        ([1e39], "float"),
        (["1.5"], "float"),
        ([None], "float"),
        ([1], "bool"),
        ([1j], "float"),
        ([[1], [1, 2]], "float"),
        ([1], "string"),
        ([["a"], ["b", "c"]], "string"),
        ([1], "resource"),
    ],
)
def test_value_is_refused_when_the_input_type_would_change_it(value, dtype):
    with pytest.raises(ServingError, match="x") as raised:
        to_tensor(value, spec(dtype), "x")
    assert raised.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("make", [list, np.array, lambda texts: np.array(texts, object)])
def test_strings_are_bytes_when_they_are_given_as_texts(make):
    bound = to_tensor(make(["a", "é"]), spec("string"), "x")
    assert bound.dtype == object
    assert bound.tolist() == [b"a", "é".encode()]


def test_bytes_keep_their_trailing_zeros_when_they_are_in_a_list():
    assert to_tensor([b"a\0", b"\xff\0\0"], spec("string"), "x").tolist() == [b"a\0", b"\xff\0\0"]
    assert to_tensor(b"a\0", spec("string"), "x").tolist() == b"a\0"


@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=3, min_side=0), elements=st.floats(width=32)))
def test_rows_and_columns_are_one_tensor_when_they_hold_the_same(array):
    float_signature = signature(x="float")
    by_column = bind_inputs(array, None, float_signature)["x"]
    np.testing.assert_array_equal(by_column, array)
    if len(array):
        np.testing.assert_array_equal(bind_inputs(None, list(array), float_signature)["x"], array)


def test_rows_are_put_together_by_alias_when_they_name_several():
    rows = [{"a": [1, 2], "b": "x"}, {"a": [3, 4], "b": "y"}]
    bound = bind_inputs(None, rows, signature(a="float", b="string"))
    assert bound["a"].tolist() == [[1, 2], [3, 4]]
    assert bound["b"].tolist() == [b"x", b"y"]


@pytest.mark.parametrize(
    ("inputs", "rows", "text"),
    [
        (None, None, "Give either inputs or rows"),
        ([1], [1], "Give either inputs or rows"),
        ([1], None, "The inputs need names; the signature has a, b"),
        ({"a": [1], "c": [1]}, None, "The signature has no input c; the signature has a, b"),
        (None, [{"a": 1}, {"b": 1}], "Every row must name the same inputs"),
    ],
)
def test_inputs_are_refused_when_they_do_not_name_the_signatures(inputs, rows, text):
    with pytest.raises(ServingError) as raised:
        bind_inputs(inputs, rows, signature(a="float", b="float"))
    assert (raised.value.code, raised.value.message) == (Code.INVALID_ARGUMENT, text)
