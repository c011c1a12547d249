"""The exact parser: TensorFlow Serving's error texts with offsets, and what it accepts beyond the RFC."""

from __future__ import annotations

import json
import math
import time

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_tfserve.codec.json_text import parse_json
from jupyter_tfserve.codec.json_values import members, text_bytes
from jupyter_tfserve.errors import Code, ServingError


def parse_error(body: bytes, **options: int) -> str:
    with pytest.raises(ServingError) as raised:
        parse_json(body, **options)
    assert raised.value.code is Code.INVALID_ARGUMENT
    return raised.value.message


@pytest.mark.parametrize(
    ("body", "text", "offset"),
    [
        (b" ", "The document is empty.", 1),
        (b"\xef\xbb\xbf", "The document is empty.", 3),
        (b"\0{}", "The document is empty.", 0),
        (b"]", "The document is empty.", 0),
        (b":", "The document is empty.", 0),
        (b"instances = [1, 2]", "Invalid value.", 0),
        (b"'a'", "Invalid value.", 0),
        (b"+1", "Invalid value.", 0),
        (b".5", "Invalid value.", 0),
        (b"// x\n1", "Invalid value.", 0),
        (b"[", "Invalid value.", 1),
        (b"[ }", "Invalid value.", 2),
        (b"[,", "Invalid value.", 1),
        (b"[1,]", "Invalid value.", 3),
        (b"[1,,2]", "Invalid value.", 3),
        (b"[-]", "Invalid value.", 2),
        (b"nul", "Invalid value.", 3),
        (b"trux", "Invalid value.", 3),
        (b"[falsx]", "Invalid value.", 5),
        (b"[Nax]", "Invalid value.", 3),
        (b"[-Inx]", "Invalid value.", 4),
        (b"[Infinix]", "Invalid value.", 7),
        (b'{"a":}', "Invalid value.", 5),
        (b'{"a":', "Invalid value.", 5),
        (b"{1", "Missing a name for object member.", 1),
        (b"{", "Missing a name for object member.", 1),
        (b'{"a":1,}', "Missing a name for object member.", 7),
        (b'{"a":1 , "b":2,', "Missing a name for object member.", 15),
        (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
        (b'{"a"', "Missing a colon after a name of object member.", 4),
        (b'{"a":1 "b"', "Missing a comma or '}' after an object member.", 7),
        (b'{"a":1', "Missing a comma or '}' after an object member.", 6),
        (b'{"a":[]]', "Missing a comma or '}' after an object member.", 7),
        (b"[1 2]", "Missing a comma or ']' after an array element.", 3),
        (b"[1", "Missing a comma or ']' after an array element.", 2),
        (b"[01]", "Missing a comma or ']' after an array element.", 2),
        (b"[1}", "Missing a comma or ']' after an array element.", 2),
        (b"[nullx]", "Missing a comma or ']' after an array element.", 5),
        (rb'["\u12G4"]', "Incorrect hex digit after \\u escape in string.", 2),
        (rb'["ab\u"]', "Incorrect hex digit after \\u escape in string.", 4),
        (rb'["\ud800\u12"]', "Incorrect hex digit after \\u escape in string.", 2),
        (rb'["\ud800"]', "The surrogate pair in string is invalid.", 2),
        (rb'["\uD83Dx"]', "The surrogate pair in string is invalid.", 2),
        (rb'["\ud800\u0041"]', "The surrogate pair in string is invalid.", 2),
        (rb'["a\q"]', "Invalid escape character in string.", 3),
        (b'["a\nb"]', "Invalid escape character in string.", 3),
        (b'"a\\', "Invalid escape character in string.", 2),
        (b'{"a":"b', "Missing a closing quotation mark in string.", 7),
        (b'"a\0"', "Missing a closing quotation mark in string.", 2),
        (b"[1e309]", "Number too big to be stored in double.", 1),
        (b"[-1" + b"0" * 400 + b"]", "Number too big to be stored in double.", 1),
        (b"[1" + b"0" * 400 + b".5]", "Number too big to be stored in double.", 1),
        (b"[1e" + b"9" * 5000 + b"]", "Number too big to be stored in double.", 1),
        (b"[1.]", "Miss fraction part in number.", 3),
        (b"[1.e5]", "Miss fraction part in number.", 3),
        (b"[1e]", "Miss exponent in number.", 3),
        (b"[1.5E+]", "Miss exponent in number.", 6),
    ],
)
def test_parse_json_words_error_with_offset_when_body_is_malformed(
    body: bytes, text: str, offset: int
) -> None:
    assert parse_error(body) == f"JSON Parse error: {text} at offset: {offset}"


def test_parse_json_names_no_offset_when_body_has_no_bytes() -> None:
    assert parse_error(b"") == "JSON Parse error: The document is empty"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b"[1] trailing ]", [1]),
        (b'{"a":1}{', {"a": 1}),
        (b"[1,2]\0]", [1, 2]),
        (b" \t\r\n[ 1 , 2 ] ", [1, 2]),
        (b"[]", []),
        (b"{ }", {}),
        (b"[ ]", []),
        (b"[[],{},[[]]]", [[], {}, [[]]]),
        (b'[true,false,null,"x"]', [True, False, None, "x"]),
        (rb'"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"', '"\\/\b\f\n\r\té😀'),
        (b'"\x7f\xc3\xa9"', "\x7fé"),
        (b'{"a\\u0041" : {"b":[1,{"c":2}]}}', {"aA": {"b": [1, {"c": 2}]}}),
    ],
)
def test_parse_json_gives_first_value_when_text_is_accepted(body: bytes, value: object) -> None:
    assert parse_json(body) == value


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"-0", 0),
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", 2.0**64),
        (b"-9223372036854775808", -(2**63)),
        (b"-9223372036854775809", -(2.0**63)),
        (b"1.0", 1.0),
        (b"1e3", 1000.0),
        (b"-0.0", -0.0),
        (b"1e-400", 0.0),
        (b"0e999", 0.0),
        (b"10e308", math.inf),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
    ],
)
@pytest.mark.parametrize("frame", [b"%s", b"[%s]", b'{"a":%s}', b'["",%s]'])
def test_number_keeps_its_class_when_parsed(frame: bytes, body: bytes, value: float) -> None:
    found = parse_json(frame % body)
    if isinstance(found, list):
        found = found[-1]
    elif isinstance(found, dict):
        found = found["a"]
    assert (repr(found), type(found)) == (repr(value), type(value))


@pytest.mark.parametrize("frame", [b"[%s]", b'["",%s]'])
def test_non_finite_tokens_are_numbers_when_bare(frame: bytes) -> None:
    found = parse_json(frame % b"NaN, Inf ,Infinity,-Inf,-Infinity,-NaN,1.5,2")
    assert isinstance(found, list)
    assert repr(found[-8:]) == "[nan, inf, inf, -inf, -inf, nan, 1.5, 2]"


def test_string_keeps_its_bytes_when_they_are_no_utf8() -> None:
    text = parse_json(b'"\xff\xc3(\\udc00\xed\xa0\x80"')
    assert isinstance(text, str)
    assert text_bytes(text) == b"\xff\xc3(\xed\xb0\x80\xed\xa0\x80"


def test_first_member_wins_when_name_is_repeated() -> None:
    value = parse_json(b'{"a":1,"b":2,"a":3}')
    assert isinstance(value, dict)
    assert (value["a"], list(value), list(members(value))) == (1, ["a", "b"], [("a", 1), ("b", 2), ("a", 3)])


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_parse_json_needs_no_stack_when_nested_half_a_million_deep(opening: bytes, closing: bytes) -> None:
    value = parse_json(opening * 500_000 + b"1" + closing * 500_000)
    depth = 0
    while not isinstance(value, int):
        value = value[0] if isinstance(value, list) else value["a"]  # type: ignore[index,call-overload]
        depth += 1
    assert depth == 500_000 * (2 if opening.startswith(b"[{") else 1)


@pytest.mark.parametrize("body", [b"[[[[1]]]]", b'[[[["a"]]]]', b'[[[{"a":1}]]]', b"[[[[]]]]"])
def test_parse_json_names_the_limit_when_nested_too_deep(body: bytes) -> None:
    assert parse_json(body, max_depth=4)
    assert parse_error(body, max_depth=3) == (
        "JSON Parse error: Nested deeper than max_json_depth (3) at offset: 3"
    )


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(JSON_VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_parse_json_gives_back_what_the_standard_library_wrote(
    value: object, is_ascii: bool, indent: int | str | None
) -> None:
    body = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()
    assert repr(parse_json(body)) == repr(value)


@given(st.binary(max_size=30) | st.text('[],"\\u0d8eE+-.1tfn \t', max_size=30).map(str.encode))
def test_parse_json_agrees_with_orjson_when_orjson_accepts(body: bytes) -> None:
    """Objects aside: of equal names orjson keeps the last one."""
    assume(b":" not in body)
    try:
        expected = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    assert repr(parse_json(body)) == repr(expected)


@given(st.text('[]{},:"\\u0d8eENaInfity+-.12 \t\n', max_size=40).map(str.encode))
def test_parse_json_gives_a_value_or_its_own_error_whatever_the_text(body: bytes) -> None:
    try:
        parse_json(body)
    except ServingError as error:
        assert error.message.startswith("JSON Parse error: ")  # noqa: PT017


def test_parse_json_takes_no_seconds_when_a_large_body_holds_a_nan() -> None:
    body = b'{"instances":[' + b",".join([b"[0.12345678,0.5,NaN]"] * 50_000) + b"]}"
    started = time.perf_counter()
    parse_json(body)
    assert time.perf_counter() - started < 2.0
