"""grpc_messages: the same messages however they are cut, bombs stopped at the limit, one write for an answer."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.grpc_messages import Message, MessageReader, inflate, whole_answer
from jupyter_tfserve.dataplane.http2.frame_reader import FrameReader
from jupyter_tfserve.dataplane.http2.frames import PREFACE
from jupyter_tfserve.dataplane.http2.options import Http2Options
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions
from tests.dataplane.http2_peer import message

COMPRESSED = {"gzip": gzip.compress, "deflate": zlib.compress}


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=50)), max_size=6),
    st.lists(st.integers(0, 30), max_size=20),
)
def test_messages_are_the_same_however_they_are_cut(sent, sizes):
    data = b"".join(message(body, compressed) for compressed, body in sent)
    reader, found, at = MessageReader(50), [], 0
    for size in [*sizes, len(data)]:
        found += reader.feed(data[at : at + size])
        at += size
    assert found == [Message(*one) for one in sent]
    assert (reader.is_inside, reader.held) == (False, 0)


def test_message_is_refused_before_it_is_collected_when_it_is_too_large():
    reader = MessageReader(10)
    with pytest.raises(ServingError) as caught:
        reader.feed(message(b"x" * 11)[:5])
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.message == "SERVER: Received message larger than max (11 vs. 10)"


def test_message_is_refused_when_its_first_byte_means_nothing():
    with pytest.raises(ServingError) as caught:
        MessageReader(10).feed(b"\x02\0\0\0\0")
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_message_is_inflated_up_to_the_limit(encoding):
    body = b"0123456789" * 100
    sent = Message(True, COMPRESSED[encoding](body))
    assert inflate(sent, encoding, 1000) == body
    with pytest.raises(ServingError) as caught:
        inflate(sent, encoding, 999)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("sent", "encoding"),
    [
        (Message(True, b"nothing"), "gzip"),
        (Message(True, b""), "gzip"),
        (Message(True, gzip.compress(b"cut")[:-4]), "gzip"),
        (Message(True, gzip.compress(b"unnamed")), "identity"),
        (Message(True, gzip.compress(b"one") + gzip.compress(b"two")), "gzip"),
        (Message(True, zlib.compress(b"one") + b"rest"), "deflate"),
    ],
)
def test_compressed_message_is_the_callers_fault_when_it_is_none(sent, encoding):
    with pytest.raises(ServingError) as caught:
        inflate(sent, encoding, 1000)
    assert caught.value.code is Code.INVALID_ARGUMENT


@given(st.integers(1, 2**31 - 1), st.binary(max_size=2000))
def test_whole_answer_is_three_frames(stream, body):
    found = []

    class Sink:
        def frame(self, *one):
            found.append(one)

        fault = frame

        def data(self, flags, number, payload, size):
            found.append((0, flags, number, payload))

        def greeted(self):
            pass

    FrameReader(Sink(), Http2Options(LimitOptions())).feed(PREFACE + whole_answer(stream, body))
    assert [(kind, flags, number) for kind, flags, number, _ in found] == [
        (1, 4, stream),
        (0, 0, stream),
        (1, 5, stream),
    ]
    assert found[1][3] == message(body)
