"""Details of a failed gRPC call: google.rpc's messages on the wire, and the hint back out of any bytes."""

from __future__ import annotations

import pytest
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.status_details import encode_details, read_hint
from jupyter_tfserve.errors import Code

FIELD = descriptor_pb2.FieldDescriptorProto


@pytest.fixture(scope="module")
def google_rpc():
    """google.rpc's Status and ErrorInfo as googleapis declares them, in a pool of their own."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="rpc.proto", package="google.rpc", syntax="proto3", dependency=["google/protobuf/any.proto"]
    )
    status = file.message_type.add(name="Status")
    status.field.add(name="code", number=1, type=FIELD.TYPE_INT32, label=FIELD.LABEL_OPTIONAL)
    status.field.add(name="message", number=2, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    status.field.add(
        name="details",
        number=3,
        type=FIELD.TYPE_MESSAGE,
        label=FIELD.LABEL_REPEATED,
        type_name=".google.protobuf.Any",
    )
    described = file.message_type.add(name="ErrorInfo")
    for number, name in enumerate(("reason", "domain"), start=1):
        described.field.add(name=name, number=number, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    described.field.add(
        name="metadata",
        number=3,
        type=FIELD.TYPE_MESSAGE,
        label=FIELD.LABEL_REPEATED,
        type_name=".google.rpc.ErrorInfo.MetadataEntry",
    )
    entry = described.nested_type.add(name="MetadataEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), start=1):
        entry.field.add(name=name, number=number, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    pool.Add(file)
    return [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"google.rpc.{name}"))
        for name in ("Status", "ErrorInfo")
    ]


def test_details_are_googles_messages_when_another_program_reads_them(google_rpc):
    status_class, info_class = google_rpc
    status = status_class.FromString(encode_details(Code.NOT_FOUND, "no é", "try b"))
    assert (status.code, status.message) == (5, "no é")
    (detail,) = status.details
    assert detail.type_url == "type.googleapis.com/google.rpc.ErrorInfo"
    described = info_class.FromString(detail.value)
    assert (described.reason, described.domain) == ("NOT_FOUND", "jupyter_tfserve")
    assert dict(described.metadata) == {"hint": "try b"}


def test_other_servers_details_are_no_hint_when_read(google_rpc):
    status_class, info_class = google_rpc
    status = status_class(code=3, message="m")
    assert read_hint(status.SerializeToString()) is None
    foreign = info_class(reason="X", domain="example.org", metadata={"hint": "theirs"})
    status.details.add().Pack(foreign)
    assert read_hint(status.SerializeToString()) is None


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_hint_comes_back_when_texts_are_any(message, hint):
    assert read_hint(encode_details(Code.INVALID_ARGUMENT, message, hint)) == hint


@given(st.binary())
def test_hint_is_none_or_text_when_bytes_are_any(details):
    assert isinstance(read_hint(details), str | None)
