"""http2.frame_reader: the same frames however they are cut, and what is refused before it is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.http2.frame_reader import FrameReader, Http1Peer
from jupyter_tfserve.dataplane.http2.frames import (
    DATA,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    ConnectionFault,
    ErrorCode,
    StreamFault,
    frame,
    frame_head,
    header_fragment,
    parse_number,
    parse_settings,
    without_padding,
)
from jupyter_tfserve.dataplane.http2.options import Http2Options
from jupyter_tfserve.options import LimitOptions

FAULTY = 0xFF
OPTIONS = Http2Options(LimitOptions(), max_header_bytes=1000, max_frame_bytes=2**15)


kinds = st.sampled_from([DATA, HEADERS, PING, 0x20, FAULTY])


class Recorder:
    """A sink that remembers; parts of one DATA frame are one, as long as no stream has two."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.faults: list[tuple[int, ErrorCode]] = []
        self.counted: dict[int, int] = {}
        self.begun = 0

    def greeted(self) -> None:
        pass

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == FAULTY:
            raise StreamFault(ErrorCode.CANCEL)
        self.frames.append((kind, flags, stream_id, payload))

    def data(self, flags: int, stream_id: int, payload: bytes, size: int) -> None:
        begun = b""
        if self.frames and self.frames[-1][:3] == (DATA, self.begun, stream_id):
            begun = self.frames.pop()[3]
        self.begun = flags
        self.counted[stream_id] = self.counted.get(stream_id, 0) + size
        self.frames.append((DATA, flags, stream_id, begun + payload))

    def fault(self, stream_id: int, code: ErrorCode) -> None:
        self.faults.append((stream_id, code))


def read(pieces: list[bytes], kind: type = bytes) -> Recorder:
    """What comes of it; every piece is overwritten once it has been fed, as what it was read to is."""
    sink = Recorder()
    reader = FrameReader(sink, OPTIONS)
    for piece in pieces:
        room = bytearray(piece)
        reader.feed(piece if kind is bytes else memoryview(room))
        room[:] = b"?" * len(room)
    return sink


contents = st.lists(st.tuples(kinds, st.integers(0, 255), st.binary(max_size=60)), max_size=8)


@given(contents, st.lists(st.integers(1, 40), max_size=30), st.sampled_from([bytes, memoryview]))
def test_frames_are_the_same_however_they_are_cut(contents, sizes, given_as):
    sent = [
        # A padded DATA frame's first byte says how much of its end is padding.
        (kind, flags, number, b"\2" + payload + b"pp" if kind == DATA and flags & PADDED else payload)
        for number, (kind, flags, payload) in enumerate(contents)
    ]
    data = PREFACE + b"".join(frame(*one) for one in sent)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    pieces += [data[at : at + 1] for at in range(at, len(data))]
    sink = read([piece for piece in pieces if piece], given_as)
    handed_on = [
        (*one[:3], without_padding(one[3]) if one[0] == DATA and one[1] & PADDED else one[3])
        for one in sent
        if one[0] != FAULTY
    ]
    assert sink.frames == handed_on
    assert sink.counted == {one[2]: len(one[3]) for one in sent if one[0] == DATA}
    assert sink.faults == [(one[2], ErrorCode.CANCEL) for one in sent if one[0] == FAULTY]


def test_large_data_is_handed_on_before_it_is_whole():
    sink = read([PREFACE + frame_head(10_000, DATA, 1, 3) + b"a" * 4000])
    assert [(flags, len(payload)) for _, flags, _, payload in sink.frames] == [(0, 4000)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame_head(2**15 + 1, DATA, 0, 1), ErrorCode.FRAME_SIZE_ERROR),
        (frame_head(2**15 + 1, HEADERS, 0, 1), ErrorCode.FRAME_SIZE_ERROR),
        (frame_head(20_001, HEADERS, 0, 1), ErrorCode.ENHANCE_YOUR_CALM),
        (frame_head(20_001, 0x77, 0, 1), ErrorCode.ENHANCE_YOUR_CALM),
    ],
)
def test_frame_is_refused_by_its_head_when_it_is_too_large(data, code):
    with pytest.raises(ConnectionFault) as caught:
        read([PREFACE + data])
    assert caught.value.code is code


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nXX", b"\0" * 9])
def test_connection_is_refused_when_it_does_not_begin_as_http2(data):
    with pytest.raises(ConnectionFault) as caught:
        read([data])
    assert caught.value.code is ErrorCode.PROTOCOL_ERROR


def test_http1_is_told_apart_when_it_comes():
    with pytest.raises(Http1Peer):
        read([b"GET / HTTP/1.1\r\n"])


def test_padded_data_is_handed_on_before_it_is_whole():
    sink = read([PREFACE + frame_head(10_000, DATA, PADDED, 3), b"\x02" + b"a" * 4000])
    assert sink.frames == [(DATA, 0, 3, b"a" * 4000)]
    assert sink.counted == {3: 4003}


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x05hell"])
def test_padded_data_is_refused_when_its_padding_is_more_than_the_frame(payload):
    with pytest.raises(ConnectionFault, match="More padding"):
        read([PREFACE + frame(DATA, PADDED, 1, payload)])


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x05hell"])
def test_padding_is_refused_when_it_is_more_than_the_frame(payload):
    with pytest.raises(ConnectionFault, match="More padding"):
        without_padding(payload)


def test_priority_is_left_out_of_a_header_block():
    assert header_fragment(b"\0\0\0\0\x10block", 0x20) == b"block"
    assert header_fragment(b"\x01\0\0\0\0\x10block\0", 0x28) == b"block"
    with pytest.raises(ConnectionFault):
        header_fragment(b"\0\0", 0x20)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"12345", ErrorCode.FRAME_SIZE_ERROR),
        (b"\0\2\0\0\0\2", ErrorCode.PROTOCOL_ERROR),
        (b"\0\4\x80\0\0\0", ErrorCode.FLOW_CONTROL_ERROR),
        (b"\0\5\0\0\x3f\xff", ErrorCode.PROTOCOL_ERROR),
        (b"\0\5\1\0\0\0", ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_settings_are_refused_when_a_value_is_out_of_range(payload, code):
    with pytest.raises(ConnectionFault) as caught:
        parse_settings(payload)
    assert caught.value.code is code


def test_number_leaves_out_the_reserved_bit():
    assert parse_number(b"\x80\0\0\x07", "RST_STREAM") == 7
    with pytest.raises(ConnectionFault):
        parse_number(b"\0\0\0", "RST_STREAM")
