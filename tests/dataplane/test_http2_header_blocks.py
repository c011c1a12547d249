"""http2.header_blocks: the memo says what the library says, and our literals are what everybody reads."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.http2.frames import ConnectionFault, ErrorCode
from jupyter_tfserve.dataplane.http2.header_blocks import (
    MEMO_BYTES,
    MEMO_SIZE,
    HeaderReader,
    header_block,
)
from jupyter_tfserve.dataplane.http2.header_cost import skim

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
        is_sensitive = data.draw(st.booleans())
        sent = [(name, value, is_sensitive) for name, value in headers]
        block = encoder.encode(sent, huffman=data.draw(st.booleans()))
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


@pytest.mark.parametrize("first", [b"\x00", b"\x10"], ids=["without indexing", "never indexed"])
def test_repeated_block_is_read_once_when_it_has_headers_in_full(first):
    """nghttp2, and so h2load, curl and Node.js, sends :path like that in each request."""
    made = []
    ours = HeaderReader(lambda headers: made.append(headers) or len(made), 10_000, 200, 3000)
    block = b"\x83" + first + b"\x05:path\x06/a.B/C"
    assert [ours.read(block), ours.read(block), len(made)] == [1, 1, 1]
    ours.read(b"\x40\x01a\x01b")
    assert [ours.read(block), made[2]] == [3, [(b":method", b"POST"), (b":path", b"/a.B/C")]]


def test_block_is_read_each_time_when_it_sets_the_tables_size():
    made = []
    ours = HeaderReader(lambda headers: made.append(headers) or len(made), 10_000, 200, 3000)
    assert [ours.read(b"\x21\x82"), ours.read(b"\x21\x82")] == [1, 2]


def test_memo_is_bounded_by_what_its_blocks_expand_to():
    """An entry of 4,000 bytes in the table, and blocks that name it once each."""
    ours = reader(100_000)
    ours.read(b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000)
    sizes = []
    for count in range(1, MEMO_SIZE):
        ours.read(b"\xbe" + b"\x82" * count)
        sizes.append(len(ours._memo))
    assert max(sizes) == 7
    assert ours._memo_bytes <= MEMO_BYTES


def test_memo_leaves_out_a_block_that_is_larger_than_all_of_it():
    ours = reader(100_000)
    ours.read(b"\x82")
    ours.read(b"\x00\x01a\x7f\x81\xff\x02" + b"b" * 49_152)
    assert list(ours._memo) == [b"\x82"]


def test_memo_begins_anew_when_it_is_full():
    """Headers in full that never come again, a deadline for example, keep nobody else out for good."""
    ours = reader()
    for index in range(MEMO_SIZE + 20):
        ours.read(b"\x00\x01a\x02%d" % (index + 10))
    assert len(ours._memo) == 20
    ours.read(b"\x82")
    assert b"\x82" in ours._memo


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
        skim(first + b"\x80" * 10_000, 200, 10_000)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


@given(header_lists, st.booleans())
def test_cost_is_counted_as_the_library_encodes(headers, huffman):
    block = Encoder().encode(headers, huffman=huffman)
    skim(block, len(headers), 10_000)
    with pytest.raises(ConnectionFault):
        skim(block, len(headers) - 1, 10_000)
    if not huffman:
        skim(block, len(headers), 0)
