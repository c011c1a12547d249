"""Numbers in a list are spelled as they are alone, and give back their value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_tfserve.codec.json_number_text import float32_text, float32_texts, float64_texts

VALUES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@settings(deadline=None)
@given(st.lists(st.floats(width=32), max_size=64))
def test_float32_texts_are_each_numbers_own_when_many_are_spelled_at_once(values: list[float]) -> None:
    assert float32_texts(values) == [float32_text(value) for value in values]


@settings(deadline=None)
@given(st.lists(st.floats(), max_size=64))
def test_float64_texts_give_the_doubles_back_when_read(values: list[float]) -> None:
    read = [VALUES[text] if text in VALUES else float(text) for text in float64_texts(values)]
    np.testing.assert_array_equal(read, values)
    assert float64_texts(values) == [float64_texts([value])[0] for value in values]


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2.0"), (0.1, "0.1"), (1e30, "1e+30"), (3.4028234663852886e38, "3.40282347e+38")],
)
def test_float32_texts_are_upstreams_when_six_digits_do_not_suffice(value: float, text: str) -> None:
    value = float(np.float32(value))
    assert float32_texts([value, 2.0]) == [text, "2.0"]
