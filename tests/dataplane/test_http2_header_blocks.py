"""http2.header_blocks: the memo says what the library says, and our literals are what everybody reads."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.http2.frames import ConnectionFault, ErrorCode
from jupyter_tfserve.dataplane.http2.header_blocks import MEMO_SIZE, HeaderReader, header_block
from jupyter_tfserve.dataplane.http2.header_cost import check_cost

names = st.sampled_from([b":path", b"te", b"user-agent", b"grpc-timeout", b"x-one", b"x-two"])
values = st.sampled_from([b"", b"trailers", b"/a.B/C", b"20S", b"19S", b"v" * 300, b"w" * 900])
header_lists = st.lists(st.tuples(names, values), min_size=1, max_size=6)


def reader(max_bytes: int = 10_000) -> HeaderReader[tuple[tuple[bytes, bytes], ...]]:
    return HeaderReader(tuple, max_bytes, 200, 10_000)


@given(st.lists(header_lists, min_size=1, max_size=4), st.data())
def test_blocks_mean_what_the_library_says_when_they_repeat_or_change_the_table(pool, data):
    """The table holds 4096 bytes, so long values drive others out and move every index."""
    encoder, ours, library = Encoder(), reader(), Decoder()
    for _ in range(20):
        headers = data.draw(st.sampled_from(pool))
        block = encoder.encode(headers, huffman=data.draw(st.booleans()))
        expected = tuple((bytes(n), bytes(v)) for n, v in library.decode(block, raw=True))
        assert ours.read(block) == expected == tuple(headers)


@given(st.lists(st.binary(min_size=1, max_size=6), max_size=20))
def test_any_bytes_mean_the_same_to_the_library(blocks):
    ours, library = reader(), Decoder()
    for block in blocks:
        try:
            expected = tuple((bytes(n), bytes(v)) for n, v in library.decode(block, raw=True))
        except Exception:
            with pytest.raises(ConnectionFault):
                ours.read(block)
            return
        assert ours.read(block) == expected


def test_repeated_block_is_read_once_until_the_table_changes():
    made = []
    ours = HeaderReader(lambda headers: made.append(headers) or len(made), 10_000, 200, 3000)
    encoder = Encoder()
    encoder.encode([(b"x-one", b"1")])
    first = encoder.encode([(b"x-one", b"1")])
    ours.read(Encoder().encode([(b"x-one", b"1")]))
    assert (ours.read(first), ours.read(first)) == (2, 2)
    ours.read(b"\x00\x01a\x01b")
    assert ours.read(first) == 2
    ours.read(b"\x40\x01a\x01b")
    assert ours.read(first) == 5


def test_memo_is_bounded_by_what_its_blocks_expand_to():
    """An entry of 4,000 bytes in the table, and blocks that name it once each."""
    ours = reader(100_000)
    ours.read(b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000)
    for count in range(1, MEMO_SIZE):
        ours.read(b"\xbe" + b"\x82" * count)
    assert len(ours._memo) == 7
    ours.read(b"\x40\x01a\x01b")
    for count in range(1, 4):
        ours.read(b"\x82" * count)
    assert len(ours._memo) == 3


def test_memo_is_bounded():
    ours = reader()
    for index in range(1, MEMO_SIZE + 20):
        ours.read(bytes((0x80 | index // 40 + 1, 0x80 | index % 40 + 1)))
    assert len(ours._memo) == MEMO_SIZE


@pytest.mark.parametrize("block", [b"\x80", b"\xff\xff\xff\xff\xff\xff", b"\x40\x05ab", b"\xc0"])
def test_broken_block_ends_the_connection(block):
    with pytest.raises(ConnectionFault) as caught:
        reader().read(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_list_is_refused_when_it_expands_to_too_much():
    ours = reader(5000)
    ours.read(b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000)
    with pytest.raises(ConnectionFault) as caught:
        ours.read(b"\xbe" * 100)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.binary(max_size=40_000)), max_size=3))
def test_our_literals_are_read_by_the_library(headers):
    decoded = Decoder(max_header_list_size=10**6).decode(header_block(headers), raw=True)
    assert [(bytes(name), bytes(value)) for name, value in decoded] == headers


@pytest.mark.parametrize(
    "block",
    [
        b"\x82" * 201,
        b"\x00\x01a\x01b" * 201,
        b"\x20" * 201,
        Encoder().encode([(b"x", b"a" * 20_000)], huffman=True),
    ],
    ids=["indexed", "literal", "sizes", "huffman"],
)
def test_block_is_refused_before_it_is_decoded_when_that_would_cost_much(block, monkeypatch):
    ours = reader(10**6)
    monkeypatch.setattr(ours, "_decoded", None)
    with pytest.raises(ConnectionFault) as caught:
        ours.read(block)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("first", [b"\xff", b"\x3f", b"\x7f", b"\x0f", b"\x00\x7f"])
def test_block_is_refused_before_it_is_decoded_when_an_integer_has_no_end(first):
    with pytest.raises(ConnectionFault) as caught:
        check_cost(first + b"\x80" * 10_000, 200, 10_000)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


@given(header_lists, st.booleans())
def test_cost_is_counted_as_the_library_encodes(headers, huffman):
    block = Encoder().encode(headers, huffman=huffman)
    check_cost(block, len(headers), 10_000)
    with pytest.raises(ConnectionFault):
        check_cost(block, len(headers) - 1, 10_000)
    if not huffman:
        check_cost(block, len(headers), 0)
