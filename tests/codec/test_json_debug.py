"""What error messages quote, and how strings are escaped."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.json_debug import MAX_DEBUG_BYTES, debug_text, quote
from jupyter_tfserve.codec.json_text import parse_json


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"[1,2]", "[1, 2]"),
        (b"[[1,2],[]]", "[[1, 2], []]"),
        (b"{}", "{}"),
        (b'{"a":1,"b":[true,null]}', '{\n    "a": 1,\n    "b": [true, null]\n}'),
        (b'{"a":{"b":{}}}', '{\n    "a": {\n        "b": {}\n    }\n}'),
        (b'[{"a":1}]', '[{\n        "a": 1\n    }]'),
        (b'{"a":1,"a":2}', '{\n    "a": 1,\n    "a": 2\n}'),
        (b'"a\\"b/\\u001f\xc3\xa9"', '"a\\"b/\\u001Fé"'),
        (b"18446744073709551615", "18446744073709551615"),
        (b"1.0", "1.0"),
        (b"-0.0", "-0.0"),
        (b"1e20", "100000000000000000000.0"),
        (b"1e21", "1e21"),
        (b"1.5e21", "1.5e21"),
        (b"123456.5", "123456.5"),
        (b"1e-6", "0.000001"),
        (b"1e-7", "1e-7"),
        (b"-1.25e-7", "-1.25e-7"),
        (b"[1,NaN,2]", "[1, "),
        (b'{"a":-Infinity}', '{\n    "a": '),
    ],
)
def test_debug_text_prints_as_tensorflow_serving_when_small(body: bytes, text: str) -> None:
    assert debug_text(parse_json(body)) == text


def test_debug_text_is_cut_between_tokens_when_256_bytes_are_written() -> None:
    assert debug_text([1] * 500) == "[1" + ", 1" * 85
    assert len(debug_text([1] * 500)) == MAX_DEBUG_BYTES + 1
    assert debug_text({"a": "x" * 300, "b": 1}) == '{\n    "a": "' + "x" * 300 + '"'


def test_debug_text_needs_no_stack_when_nested_deep() -> None:
    assert debug_text(parse_json(b"[" * 100_000 + b"]" * 100_000)) == "[" * 256


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_debug_text_of_a_double_reads_back_as_the_same_double(value: float) -> None:
    text = debug_text(value)
    assert (float(text), math.copysign(1, float(text))) == (value, math.copysign(1, value))
    assert "." in text or "e" in text


@given(st.text(st.characters(codec="utf-8")))
def test_quote_reads_back_as_the_same_text(text: str) -> None:
    assert json.loads(quote(text.encode())) == text


def test_quote_copies_bytes_when_they_are_no_utf8() -> None:
    assert quote(b"\xff\n/\x7f") == b'"\xff\\n/\x7f"'
