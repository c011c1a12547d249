"""Questions about single JSON values."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.json_text import parse_json
from jupyter_tfserve.codec.json_values import decode_base64, is_base64, member_count, type_name
from jupyter_tfserve.errors import ServingError


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"null", "Null"),
        (b"false", "False"),
        (b"true", "True"),
        (b"{}", "Object"),
        (b"[]", "Array"),
        (b'""', "String"),
        (b"0", "Number"),
        (b"1.5", "Number"),
    ],
)
def test_type_name_is_the_one_of_error_texts(body: bytes, name: str) -> None:
    assert type_name(parse_json(body)) == name


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"b64":"x"}', True),
        (b'{"b64":1}', False),
        (b'{"b64":"x","a":1}', False),
        (b'{"b64":"x","b64":"y"}', False),
        (b'{"a":"x"}', False),
        (b'"b64"', False),
    ],
)
def test_is_base64_means_exactly_one_string_member(body: bytes, expected: bool) -> None:
    assert is_base64(parse_json(body)) is expected


def test_member_count_counts_repeated_names() -> None:
    value = parse_json(b'{"a":1,"a":2}')
    assert isinstance(value, dict)
    assert (member_count(value), len(value)) == (2, 1)


@given(st.binary(), st.booleans(), st.sampled_from(["", " ", "\n", "\v\t"]))
def test_decode_base64_gives_the_bytes_back(content: bytes, has_padding: bool, space: str) -> None:
    text = base64.b64encode(content).decode()
    text = text if has_padding else text.rstrip("=")
    assert decode_base64(space.join(text)) == content


@pytest.mark.parametrize("text", ["a", "aGk==", "aG=", "a-_b", "aGk=x", "aGk=aGk=", "é", "\udcff", "===="])
def test_decode_base64_refuses_when_text_is_no_base64(text: str) -> None:
    with pytest.raises(ServingError, match=r"^INVALID_ARGUMENT: Unable to base64 decode$"):
        decode_base64(text)
