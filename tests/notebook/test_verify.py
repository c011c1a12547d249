"""Whether two answers agree: numbers within a tolerance, strings exactly, names by the exporters' rules."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec.sample_request import PREDICT_METHOD
from jupyter_tfserve.notebook.verify import Check, NotComparable, columns_of, compare
from jupyter_tfserve.types import Signature, TensorSpec

ONE = np.array([[1.0, 2.0]], np.float32)


@pytest.mark.parametrize(
    ("mine", "served"),
    [
        (ONE, ONE + 1e-7),
        (ONE, ONE.astype(np.float64)),
        ({"y": ONE}, ONE),
        ({"y": ONE, "z": ONE}, {"z": ONE, "y": ONE}),
        ([ONE, -ONE], {"output_1": -ONE, "output_0": ONE}),
        (np.array([b"a"], object), np.array(["a"], object)),
        (np.array([True]), np.array([True])),
        (np.array([np.nan, np.inf]), np.array([np.nan, np.inf])),
        (np.zeros((0, 2)), np.zeros((0, 2))),
    ],
)
def test_answers_agree_when_they_are_the_same_but_for_rounding(mine, served):
    assert compare(mine, served).agrees


@pytest.mark.parametrize(
    ("mine", "served"),
    [
        (ONE, ONE + 0.1),
        (ONE, ONE[:, :1]),
        (ONE, ONE * np.nan),
        ({"y": ONE, "z": ONE}, {"y": ONE, "z": -ONE}),
        (np.array([b"a"], object), np.array(["b"], object)),
        (np.array([1.0, np.inf]), np.array([1.0, -np.inf])),
    ],
)
def test_answers_differ_when_a_value_a_shape_or_a_text_does(mine, served):
    assert not compare(mine, served).agrees


def test_largest_difference_is_the_largest_of_all_outputs_when_there_are_several():
    check = compare({"a": ONE, "b": ONE}, {"a": ONE + 0.5, "b": ONE - 2})
    assert check.largest_difference == 2.0


@pytest.mark.parametrize(
    ("mine", "served"), [({"y": ONE, "z": ONE}, {"y": ONE, "q": ONE}), ([ONE], {"a": ONE})]
)
def test_outputs_are_not_compared_when_their_names_differ(mine, served):
    with pytest.raises(NotComparable):
        compare(mine, served)


def signature(**dtypes):
    return Signature(PREDICT_METHOD, {name: TensorSpec("", d, (-1,)) for name, d in dtypes.items()}, {})


def test_columns_get_the_signatures_dtypes_when_the_example_has_others():
    columns = columns_of(object(), [1, 2], signature(x="half"))
    assert columns["x"].dtype == np.float16
    columns = columns_of(object(), {"a": [1.0], "b": ["t"]}, signature(a="int32", b="string"))
    assert (columns["a"].dtype, columns["b"].dtype) == (np.int32, np.object_)


def test_bytes_keep_their_zeros_when_the_example_is_a_list_of_them():
    columns = columns_of(object(), [b"a\0", b"\0"], signature(x="string"))
    assert columns["x"].tolist() == [b"a\0", b"\0"]


@pytest.mark.parametrize(
    ("like", "inputs"),
    [
        ([1, 2], {"a": "float", "b": "float"}),
        ({"a": [1]}, {"a": "float", "b": "float"}),
        (["text"], {"x": "float"}),
        ([1], {"x": "variant"}),
    ],
)
def test_example_is_refused_with_a_reason_when_it_does_not_fit(like, inputs):
    with pytest.raises(NotComparable):
        columns_of(object(), like, signature(**inputs))


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (Check(1, 0.0), "1 row agree with the model in this notebook (difference 0)"),
        (Check(4, 0.5, agrees=False), "4 rows differ with the model in this notebook (difference 0.5)"),
        (Check(reason="no rows"), "not compared: no rows"),
    ],
)
def test_check_is_one_line_when_shown(check, text):
    assert str(check) == text
