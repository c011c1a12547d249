"""http2.connection over real sockets: what every wrong frame is told, windows in both directions, the orderly end."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from jupyter_tfserve.dataplane.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Setting,
    frame,
    rst_stream_frame,
    settings_frame,
    window_update_frame,
)
from jupyter_tfserve.dataplane.http2.header_blocks import header_block
from jupyter_tfserve.dataplane.http2.inflow import Inflow
from tests.dataplane.http2_peer import OK, Peer, call, call_headers, connected, head, message, serving

BLOCK = header_block(call_headers())
PROTOCOL, SIZE, FLOW = ErrorCode.PROTOCOL_ERROR, ErrorCode.FRAME_SIZE_ERROR, ErrorCode.FLOW_CONTROL_ERROR
CLOSED = ErrorCode.STREAM_CLOSED


@pytest.fixture
async def peer():
    async with serving() as (_, port), connected(port) as peer:
        yield peer


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(DATA, 0, 0, b"x"), PROTOCOL),
        (frame(DATA, 0, 5, b"x"), PROTOCOL),
        (frame(DATA, PADDED, 1, b"\x09x"), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 0, BLOCK), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 2, BLOCK), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
        (frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff"), PROTOCOL),
        (frame(HEADERS, 0, 1, BLOCK) + frame(PING, 0, 0, b"8" * 8), PROTOCOL),
        (frame(HEADERS, 0, 1, BLOCK) + frame(DATA, 0, 1, b"x"), PROTOCOL),
        (frame(HEADERS, 0, 1, BLOCK) + frame(HEADERS, END_HEADERS, 1, BLOCK), PROTOCOL),
        (frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 0, 3), PROTOCOL),
        (frame(CONTINUATION, END_HEADERS, 1, BLOCK), PROTOCOL),
        (frame(PRIORITY, 0, 0, b"5" * 5), PROTOCOL),
        (frame(RST_STREAM, 0, 0, b"\0" * 4), PROTOCOL),
        (frame(RST_STREAM, 0, 7, b"\0" * 4), PROTOCOL),
        (frame(RST_STREAM, 0, 1, b"\0" * 3), SIZE),
        (frame(SETTINGS, 0, 1), PROTOCOL),
        (frame(SETTINGS, 0, 0, b"12345"), SIZE),
        (frame(SETTINGS, ACK, 0, b"123456"), SIZE),
        (frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"), PROTOCOL),
        (frame(PING, 0, 1, b"8" * 8), PROTOCOL),
        (frame(PING, 0, 0, b"7" * 7), SIZE),
        (frame(GOAWAY, 0, 1, b"8" * 8), PROTOCOL),
        (frame(WINDOW_UPDATE, 0, 0, b"\0" * 4), PROTOCOL),
        (frame(WINDOW_UPDATE, 0, 0, b"\0" * 3), SIZE),
        (frame(WINDOW_UPDATE, 0, 9, b"\0\0\0\1"), PROTOCOL),
        (window_update_frame(0, 2**31 - 1), FLOW),
        (frame(SETTINGS, 0, 0, bytes(6 * 65)), ErrorCode.ENHANCE_YOUR_CALM),
        (head(3) + head(1), PROTOCOL),
        (head(1) + head(7) + head(5), PROTOCOL),
    ],
)
async def test_connection_ends_with_the_reason_when_a_frame_is_wrong(peer, data, code):
    peer.send(data)
    assert await peer.goaway_code() == code


async def test_connection_ends_when_a_window_grows_beyond_its_bound(peer):
    peer.send(head(1), settings_frame({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1}), window_update_frame(1, 1))
    assert await peer.reset_code(1) == FLOW
    peer.send(settings_frame({Setting.INITIAL_WINDOW_SIZE: 0}), head(3), window_update_frame(3, 100))
    peer.send(settings_frame({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1}))
    assert await peer.goaway_code() == FLOW


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (call(1) + frame(WINDOW_UPDATE, 0, 1, b"\0" * 4), PROTOCOL),
        (head(1) + head(1), PROTOCOL),
        (head(1) + frame(PRIORITY, 0, 1, b"4444"), SIZE),
        (frame(HEADERS, END_HEADERS, 1, header_block(call_headers()[1:])), PROTOCOL),
        (call(1) + frame(DATA, 0, 1, b"late"), CLOSED),
        (call(1) + head(1), CLOSED),
        (head(1) + window_update_frame(1, 2**31 - 1), FLOW),
        (call(1, content_length="11"), PROTOCOL),
        (head(1, content_length="9") + frame(DATA, 0, 1, message(b"hello")), PROTOCOL),
        (head(1, END_HEADERS | END_STREAM, content_length="10"), PROTOCOL),
        (head(1, content_length="9") + head(1, END_HEADERS | END_STREAM), PROTOCOL),
    ],
    ids=[
        "no_window",
        "two_heads",
        "priority",
        "malformed",
        "data_after_end",
        "headers_after_end",
        "window",
        "shorter_than_said",
        "longer_than_said",
        "said_and_none",
        "said_and_trailers",
    ],
)
async def test_only_the_stream_ends_when_its_frame_is_wrong(peer, data, code):
    peer.send(data)
    assert await peer.reset_code(1) == code
    assert await peer.is_well()


async def test_call_is_answered_when_it_is_as_long_as_it_says(peer):
    peer.send(call(1, content_length="10"))
    assert await peer.answer(1) == (message(b"hello"), OK)


async def test_other_frames_are_answered_or_ignored(peer):
    peer.send(
        frame(0xEE, 0xFF, 77, b"unknown"),
        frame(PRIORITY, 0, 9, b"5" * 5),
        settings_frame({Setting.HEADER_TABLE_SIZE: 0, Setting.MAX_CONCURRENT_STREAMS: 1}),
        frame(GOAWAY, 0, 0, b"8" * 8),
        frame(PING, 0, 0, b"12345678"),
    )
    pong = await peer.until(lambda one: one.kind == PING)
    assert (pong.flags, pong.payload) == (ACK, b"12345678")
    assert await peer.is_well()


async def test_late_frames_of_a_stream_that_is_over_are_ignored(peer):
    peer.send(call(1))
    await peer.answer(1)
    peer.send(
        frame(DATA, 0, 1, b"x"), window_update_frame(1, 9), rst_stream_frame(1, ErrorCode.CANCEL), head(1)
    )
    assert await peer.is_well()


async def test_call_is_answered_when_its_headers_come_in_pieces(peer):
    first, second, third = BLOCK[:10], BLOCK[10:50], BLOCK[50:]
    peer.send(
        frame(HEADERS, PADDED | 0x20, 1, b"\3" + b"prior" + first + b"\0\0\0"),
        frame(CONTINUATION, 0, 1, second),
        frame(CONTINUATION, END_HEADERS, 1, third),
        frame(DATA, PADDED, 1, b"\4" + message(b"hello")[:3] + b"\0" * 4),
        frame(DATA, 0, 1, message(b"hello")[3:]),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, header_block([(b"x-trailer", b"1")])),
    )
    assert await peer.answer(1) == (message(b"hello"), OK)


async def test_call_is_answered_when_it_is_sent_byte_by_byte():
    async with serving() as (_, port):
        peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
        for byte in PREFACE + settings_frame({}) + call(1):
            peer.send(bytes((byte,)))
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert await peer.answer(1) == (message(b"hello"), OK)
        await peer.close()


async def test_calls_of_one_read_are_all_under_way_in_one_turn_of_the_loop():
    turns, now, is_over = [], 0, False

    def tick() -> None:
        nonlocal now
        now += 1
        if not is_over:
            asyncio.get_running_loop().call_soon(tick)

    async def answer(body, context):
        turns.append(now)
        return body

    async with serving(answer) as (_, port), connected(port) as peer:
        tick()
        try:
            peer.send(*(call(2 * number + 1, b"%d" % number) for number in range(50)))
            for number in range(50):
                assert (await peer.answer(2 * number + 1))[0] == message(b"%d" % number)
        finally:
            is_over = True
        assert len(turns) == 50
        assert len(set(turns)) == 1


@pytest.mark.parametrize("window", [1000, 0])
async def test_large_answer_waits_for_the_callers_windows(window):
    """A stream's window of 1000 bytes or none, the connection's of 65,535; other calls pass meanwhile."""
    large = b"a" * 200_000

    async def answer(body, context):
        return large if body == b"large" else body

    async with serving(answer) as (_, port), connected(port, {Setting.INITIAL_WINDOW_SIZE: window}) as peer:
        peer.send(call(1, b"large"), call(3), window_update_frame(3, 2000))
        assert await peer.answer(3) == (message(b"hello"), OK)
        body = b"".join(one.payload for one in peer.seen if (one.kind, one.stream) == (DATA, 1))
        assert len(body) == window
        peer.send(window_update_frame(1, 10**6))
        while len(body) < 65_535 - 10:
            body += (await peer.until(lambda one: one.kind == DATA)).payload
        assert len(body) == 65_535 - 10
        peer.send(window_update_frame(0, 10**6))
        rest, headers = await peer.answer(1)
        assert (body + rest, headers["grpc-status"]) == (message(large), "0")
        sizes = {len(one.payload) for one in peer.seen if one.kind == DATA}
        assert max(sizes) == 16_384


async def test_windows_change_by_settings_under_way():
    async def answer(body, context):
        return b"a" * 5000

    settings = {Setting.INITIAL_WINDOW_SIZE: 1000, Setting.MAX_FRAME_SIZE: 20_000}
    async with serving(answer) as (_, port), connected(port, settings) as peer:
        peer.send(call(1))
        await peer.until(lambda one: one.kind == DATA)
        peer.send(
            settings_frame({Setting.INITIAL_WINDOW_SIZE: 500}),
            settings_frame({Setting.INITIAL_WINDOW_SIZE: 9000}),
        )
        body, _ = await peer.answer(1)
        assert len(body) == 4005


async def test_last_window_of_a_settings_frame_counts(peer, monkeypatch):
    """Each would go through all streams."""
    changes = []
    change = Inflow._set_initial_window
    monkeypatch.setattr(
        Inflow, "_set_initial_window", lambda self, size: changes.append(size) or change(self, size)
    )
    pairs = b"".join(b"\0\4" + size.to_bytes(4, "big") for size in range(60))
    peer.send(frame(SETTINGS, 0, 0, pairs))
    assert len((await begun_answer(peer)).payload) == 59
    assert changes == [59]


async def begun_answer(peer):
    peer.send(call(1, b"a" * 100))
    return await peer.until(lambda one: one.kind == DATA)


async def test_large_request_passes_as_windows_are_given_back():
    async with serving(stream_window=2**16, connection_window=2**17) as (_, port), connected(port) as peer:
        body = b"b" * 1_000_000
        rest = memoryview(message(body))
        stream_left, left = 2**16, 2**17
        peer.send(
            head(1), settings_frame({Setting.INITIAL_WINDOW_SIZE: 2**21}), window_update_frame(0, 2**21)
        )
        while rest:
            size = min(stream_left, left, 2**14, len(rest))
            peer.send(frame(DATA, END_STREAM if size == len(rest) else 0, 1, bytes(rest[:size])))
            rest, stream_left, left = rest[size:], stream_left - size, left - size
            while rest and not min(stream_left, left):
                update = await peer.until(lambda one: one.kind == WINDOW_UPDATE)
                increment = int.from_bytes(update.payload, "big")
                stream_left, left = (
                    (stream_left + increment, left) if update.stream else (stream_left, left + increment)
                )
        answer, headers = await peer.answer(1)
        assert (answer, headers["grpc-status"]) == (message(body), "0")


async def test_peer_that_ignores_a_window_is_cut_off():
    """Reflection reads no message before its last answer is out; what follows keeps its stream's window closed."""
    closed, path = (
        {Setting.INITIAL_WINDOW_SIZE: 0},
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    )
    async with (
        serving(stream_window=2**16, connection_window=2**17) as (_, port),
        connected(port, closed) as peer,
    ):
        peer.send(head(1, path=path), frame(DATA, 0, 1, message(b"")))
        peer.send(*[frame(DATA, 0, 1, message(b"x" * 16_000))] * 5)
        assert await peer.reset_code(1) == FLOW
        peer.send(settings_frame({Setting.INITIAL_WINDOW_SIZE: 2**16}))
        assert await peer.is_well()


async def test_reset_cancels_the_calls_task():
    cancelled = asyncio.Event()
    entered = asyncio.Event()

    async def answer(body, context):
        if body == b"well":
            return body
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serving(answer) as (_, port), connected(port) as peer:
        peer.send(call(1))
        await asyncio.wait_for(entered.wait(), 20)
        peer.send(rst_stream_frame(1, ErrorCode.CANCEL))
        await asyncio.wait_for(cancelled.wait(), 20)
        assert await peer.is_well()
        assert not [one for one in peer.seen if one.stream == 1]


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({":method": "GET"}, {":status": "405"}),
        ({"content_type": "text/plain"}, {":status": "415"}),
    ],
)
async def test_request_that_is_no_call_gets_an_http_status(peer, headers, answer):
    peer.send(head(1, **headers))
    assert await peer.answer(1) == (b"", answer)


async def test_http1_client_is_told_what_this_port_is():
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"REST has another port\n")


async def test_stream_is_refused_when_there_are_too_many():
    release = asyncio.Event()

    async def answer(body, context):
        await release.wait()
        return body

    async with (
        serving(answer, arguments=(("grpc.max_concurrent_streams", 2),)) as (_, port),
        connected(port) as peer,
    ):
        assert Setting.MAX_CONCURRENT_STREAMS.to_bytes(2, "big") + b"\0\0\0\2" in peer.seen[0].payload
        peer.send(call(1), call(3), call(5))
        assert await peer.reset_code(5) == ErrorCode.REFUSED_STREAM
        release.set()
        await peer.answer(3)


async def test_connection_says_goodbye_and_answers_what_is_open_when_the_server_stops():
    release = asyncio.Event()

    async def answer(body, context):
        await release.wait()
        return body

    async with serving(answer) as (server, port), connected(port) as peer:
        peer.send(call(1))
        peer.send(frame(PING, 0, 0, b"12345678"))
        await peer.until(lambda one: one.kind == PING)
        stopping = asyncio.ensure_future(server.stop(20))
        goodbye = await peer.until(lambda one: one.kind == GOAWAY)
        assert goodbye.payload == b"\0\0\0\1\0\0\0\0"
        peer.send(call(3))
        assert await peer.reset_code(3) == ErrorCode.REFUSED_STREAM
        release.set()
        assert await peer.answer(1) == (message(b"hello"), OK)
        assert await peer.frame() is None
        await peer.close()
        await asyncio.wait_for(stopping, 20)


async def test_large_messages_arrive_whole_when_streams_and_connections_mix_them():
    """All are read to one place and wait in another: no byte of one call may be another's."""

    async def answer(body, context):
        return sha256(body).digest()

    bodies = {1: b"a" * 399_999 + b"1", 3: b"b" * 499_999 + b"3"}
    async with serving(answer) as (_, port), connected(port) as one, connected(port) as other:
        for peer in (one, other):
            peer.send(*(head(stream) for stream in bodies))
        for at in range(0, 500_005, 50_001):
            for peer in (one, other):
                for stream, body in bodies.items():
                    sent = message(body)
                    piece, is_last = sent[at : at + 50_001], at < len(sent) <= at + 50_001
                    if piece:
                        peer.send(frame(DATA, END_STREAM * is_last, stream, piece))
                await peer.writer.drain()
        for peer in (one, other):
            for stream, body in bodies.items():
                assert await peer.answer(stream) == (message(sha256(body).digest()), OK)


async def test_windows_open_again_when_frames_are_only_padding(peer):
    """More padding than the stream's window has room for, were it not given back."""
    padding = frame(DATA, PADDED, 1, b"\xff" + bytes(255))
    peer.send(head(1))
    for _ in range(170):
        peer.send(padding * 100)
        await peer.writer.drain()
    peer.send(frame(DATA, END_STREAM, 1, message(b"hello")))
    assert await peer.answer(1) == (message(b"hello"), OK)
