"""described_messages: declarations become messages, and their text is read or refused."""

from __future__ import annotations

import pytest
from google.protobuf import wrappers_pb2

from jupyter_tfserve.codec.described_messages import message_class, parse_text
from jupyter_tfserve.errors import Code, ServingError

PACKAGE = "jupyter_tfserve.test_described"
PART, WHOLE = f"{PACKAGE}.Part", f"{PACKAGE}.Whole"
MESSAGES = {
    PART: {"data": "bytes"},
    WHOLE: {
        "count": "int32",
        "parts": f"repeated {PART}",
        "limit": "google.protobuf.Int64Value = 9",
        "text": "oneof kind string",
        "part": f"oneof kind {PART}",
        "named_parts": f"map string {PART} = 12",
    },
}


@pytest.fixture(scope="module")
def whole():
    return message_class(WHOLE, MESSAGES, [wrappers_pb2.Int64Value, wrappers_pb2.BoolValue])


def test_class_is_the_same_when_asked_for_again(whole):
    assert message_class(WHOLE, MESSAGES) is whole
    assert message_class(PART, MESSAGES).DESCRIPTOR.full_name == PART


def test_fields_are_numbered_when_they_are_counted_or_declared(whole):
    numbers = {field.name: field.number for field in whole.DESCRIPTOR.fields}
    assert numbers == {"count": 1, "parts": 2, "limit": 9, "text": 4, "part": 5, "named_parts": 12}


def test_bytes_on_the_wire_are_read_when_messages_are_nested(whole):
    read = whole.FromString(b"\x08\x05\x12\x03\x0a\x01a\x12\x03\x0a\x01b\x4a\x02\x08\x07")
    assert (read.count, [part.data for part in read.parts], read.limit.value) == (5, [b"a", b"b"], 7)


def test_map_is_read_when_entries_are_on_the_wire(whole):
    read = whole.FromString(b"\x62\x08\x0a\x01k\x12\x03\x0a\x01v")
    assert {name: part.data for name, part in read.named_parts.items()} == {"k": b"v"}


def test_last_field_counts_when_two_of_a_oneof_are_given(whole):
    message = whole(text="a")
    message.part.data = b"b"
    assert message.WhichOneof("kind") == "part"
    assert message.text == ""


def test_text_fills_the_message_when_it_fits(whole):
    message = parse_text('count: 3 parts { data: "x" } limit { value: 4 }', whole(), "a.txt")
    assert (message.count, message.parts[0].data, message.limit.value) == (3, b"x", 4)


def test_text_is_refused_with_its_place_when_it_does_not_fit(whole):
    with pytest.raises(ServingError) as caught:
        parse_text("count: 3\nhidden: 4", whole(), "a.txt")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == "Invalid protobuf file: 'a.txt'"
    assert "2:1" in caught.value.hint
    assert "hidden" in caught.value.hint


def test_refusal_tells_the_line_alone_when_the_text_is_secret(whole):
    with pytest.raises(ServingError) as caught:
        parse_text("count: 3\nhidden: 4", whole(), "a.txt", is_secret=True)
    assert caught.value.message == "Invalid protobuf file: 'a.txt' at line 2"
    assert caught.value.hint is None
