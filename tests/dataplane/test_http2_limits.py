"""What one HTTP/2 peer can cost by sending: floods, headers, streams, connections, each stopped at its limit."""

from __future__ import annotations

import asyncio
import contextlib
import time

import grpc
import pytest

from jupyter_tfserve.dataplane.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    SETTINGS,
    ErrorCode,
    Setting,
    frame,
    rst_stream_frame,
    settings_frame,
    window_update_frame,
)
from jupyter_tfserve.dataplane.http2.header_blocks import header_block
from jupyter_tfserve.dataplane.http2.options import MAX_LARGE_BLOCKS
from jupyter_tfserve.dataplane.http2.outflow import Outflow
from jupyter_tfserve.options import LimitOptions
from tests.dataplane.http2_peer import ECHO, Peer, call, call_headers, connected, head, message, serving

CALM = ErrorCode.ENHANCE_YOUR_CALM
FEW = {"faults_at_once": 100, "faults_per_s": 1.0, "pings_at_once": 100, "pings_per_s": 1.0}
FEW_EMPTY = {"empty_at_once": 100, "empty_per_s": 1.0}


def rapid_resets(count: int) -> bytes:
    cancel = ErrorCode.CANCEL
    return b"".join(call(2 * n + 1) + rst_stream_frame(2 * n + 1, cancel) for n in range(count))


@pytest.mark.parametrize(
    "flood",
    [
        frame(PING, 0, 0, b"8" * 8) * 150,
        frame(PING, ACK, 0, b"8" * 8) * 150,
        settings_frame({Setting.INITIAL_WINDOW_SIZE: 1}) * 150,
        head(1) + frame(DATA, 0, 1) * 150,
        frame(PRIORITY, 0, 1, b"5" * 5) * 150,
        frame(0xEE, 0, 0) * 150,
        frame(GOAWAY, 0, 0, b"8" * 8) * 150,
        frame(SETTINGS, ACK, 0) * 150,
        frame(HEADERS, 0, 1, header_block(call_headers())) + frame(CONTINUATION, 0, 1) * 150,
        b"".join(frame(HEADERS, 5, 2 * n + 1, header_block(call_headers()[1:])) for n in range(150)),
    ],
    ids=[
        "pings",
        "pongs",
        "settings",
        "empty_data",
        "priorities",
        "unknown",
        "goaways",
        "acknowledgements",
        "continuations",
        "malformed",
    ],
)
async def test_flood_ends_its_connection_and_no_other(flood):
    async with serving(**FEW, **FEW_EMPTY) as (_, port), connected(port) as good:
        async with connected(port) as peer:
            peer.send(flood)
            assert await peer.goaway_code() == CALM
        assert await good.is_well()


async def test_peer_that_resets_what_it_opens_is_read_slowly_and_keeps_its_calls():
    """Ordinary deadlines look like that on a busy machine, beside calls on the same connection that are waited for."""
    release = asyncio.Event()

    async def answer(body, context):
        if body == b"live":
            await release.wait()
        return body

    rates = {"resets_at_once": 100, "resets_per_s": 500.0}
    async with serving(answer, **rates) as (server, port), connected(port) as good, connected(port) as peer:
        name = f"ipv4:127.0.0.1:{peer.writer.get_extra_info('sockname')[1]}"
        connection = next(one for one in server._service.connections if one.peer == name)
        peer.send(rapid_resets(150), call(2**20 + 1, b"live"))
        deadline = time.monotonic() + 20
        while not connection._is_resting:
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
        assert not connection._transport.is_reading()
        assert await good.is_well()
        release.set()
        assert (await peer.answer(2**20 + 1))[0] == message(b"live")
        assert await peer.is_well()
        assert not connection._is_resting


async def test_resets_of_what_is_over_or_was_waited_for_cost_the_peer_nothing():
    started = asyncio.Semaphore(0)

    async def answer(body, context):
        started.release()
        if body == b"slow":
            await asyncio.Event().wait()
        return body

    async with serving(answer, resets_at_once=5, resets_per_s=0.001) as (_, port), connected(port) as peer:
        for number in range(1, 60, 4):
            peer.send(call(number), call(number + 2, b"slow"))
            await peer.answer(number)
            await asyncio.wait_for(started.acquire(), 20)
            await asyncio.wait_for(started.acquire(), 20)
            peer.send(*(rst_stream_frame(one, ErrorCode.CANCEL) for one in (number, number + 2)))
        assert await peer.is_well()


async def test_connection_ends_when_it_opens_streams_above_the_limit_for_ever():
    arguments = (("grpc.max_concurrent_streams", 1),)
    async with serving(arguments=arguments, **FEW_EMPTY) as (_, port), connected(port) as peer:
        peer.send(*(head(2 * number + 1) for number in range(150)))
        assert await peer.goaway_code() == CALM


async def test_headers_end_the_connection_when_they_expand_without_end():
    """Each byte of the second block stands for four kilobytes."""
    async with serving(max_header_bytes=8192) as (_, port), connected(port) as peer:
        entry = b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000
        peer.send(frame(HEADERS, 5, 1, header_block(call_headers()) + entry))
        await peer.answer(1)
        peer.send(frame(HEADERS, 5, 3, header_block(call_headers()) + b"\xbe" * 5000))
        assert await peer.goaway_code() == CALM


async def test_continuations_end_the_connection_when_they_are_too_much():
    async with serving(max_header_bytes=1000) as (_, port), connected(port) as peer:
        peer.send(frame(HEADERS, 0, 1, b"\0\1a\1b"), *[frame(CONTINUATION, 0, 1, b"x" * 5000)] * 5)
        assert await peer.goaway_code() == CALM


async def test_large_header_blocks_are_bounded_together():
    async with serving(max_header_bytes=1000) as (server, port), connected(port) as good:
        async with contextlib.AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(connected(port)) for _ in range(MAX_LARGE_BLOCKS + 1)]
            for peer in peers:
                peer.send(frame(HEADERS, 0, 1, b"x" * 3000))
            ends = [asyncio.ensure_future(peer.goaway_code()) for peer in peers]
            done, waiting = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            assert [await end for end in done] == [CALM]
            for end in waiting:
                end.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        deadline = time.monotonic() + 20
        while server._service.large_blocks:
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
        assert await good.is_well()


async def test_call_whose_headers_go_on_is_served_while_others_send_large_ones():
    async with serving(max_header_bytes=1000) as (server, port), connected(port) as peer:
        server._service.large_blocks = MAX_LARGE_BLOCKS
        block = header_block(call_headers())
        peer.send(frame(HEADERS, 0, 1, block[:20]), frame(CONTINUATION, 4, 1, block[20:]))
        peer.send(frame(DATA, END_STREAM, 1, message(b"hello")))
        assert (await peer.answer(1))[0] == message(b"hello")
        peer.send(frame(HEADERS, 0, 3, b"x" * 3000))
        assert await peer.goaway_code() == CALM


async def test_call_alone_is_refused_when_its_metadata_is_a_megabyte():
    async with serving() as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary(ECHO)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(b"", metadata=(("x-huge", "a" * 2**20),), timeout=20)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await method(b"well", timeout=20) == b"well"


async def test_call_alone_is_refused_when_its_headers_are_above_the_limit():
    async with serving(arguments=(("grpc.max_metadata_size", 1000),)) as (_, port), connected(port) as peer:
        peer.send(call(1, x_huge="x" * 1000))
        _, headers = await peer.answer(1)
        assert headers["grpc-status"] == "8"
        assert await peer.is_well()


async def test_unfinished_requests_are_bounded_together():
    """Two connections hold 100,000 bytes each; what would make it more than 250,000 is refused, until one has gone."""

    async def answer(body, context):
        return b""

    limits = LimitOptions(max_unfinished_bytes=250_000)
    large = message(b"z" * 99_995)
    pieces = [large[at : at + 10_000] for at in range(0, 100_000, 10_000)]
    begun = head(1) + b"".join(frame(DATA, 0, 1, piece) for piece in pieces[:-1])
    async with serving(answer, limits) as (_, port), connected(port) as one, connected(port) as other:
        for peer in (one, other):
            peer.send(begun, frame(PING, 0, 0, b"12345678"))
            await peer.until(lambda one: one.kind == PING)
        async with connected(port) as third:
            third.send(begun)
            _, headers = await third.answer(1)
            assert headers["grpc-status"] == "8"
            assert "Unfinished requests" in headers["grpc-message"]
            await other.close()
            for number in range(3, 10_000, 2):
                rest = b"".join(frame(DATA, 0, number, piece) for piece in pieces)
                third.send(head(number), rest, frame(DATA, END_STREAM, number))
                _, headers = await third.answer(number)
                if headers["grpc-status"] == "0":
                    break
            else:
                raise AssertionError("What a closed connection held is still counted")


async def test_crumbs_of_a_window_end_the_connection():
    async with serving(**FEW_EMPTY) as (_, port), connected(port, {Setting.INITIAL_WINDOW_SIZE: 1}) as peer:
        peer.send(call(1, b"y" * 900))
        await peer.until(lambda one: one.kind == DATA)
        peer.send(window_update_frame(1, 1) * 150)
        assert await peer.goaway_code() == CALM


async def test_connection_is_refused_when_there_are_too_many():
    async with serving(limits=LimitOptions(max_connections=1)) as (_, port), connected(port) as first:
        second = Peer(*await asyncio.open_connection("127.0.0.1", port))
        assert await second.goaway_code() == CALM
        await second.close()
        assert await first.is_well()


async def test_answers_that_wait_for_their_own_windows_are_not_looked_at_for_others(monkeypatch):
    """A thousand of them would make each small frame of the peer expensive."""
    looked_at = 0
    send_frame = Outflow._send_frame

    def counted(self, stream):
        nonlocal looked_at
        looked_at += 1
        send_frame(self, stream)

    monkeypatch.setattr(Outflow, "_send_frame", counted)
    async with serving() as (_, port), connected(port, {Setting.INITIAL_WINDOW_SIZE: 1}) as peer:
        peer.send(*(call(2 * number + 1) for number in range(200)))
        for _ in range(200):
            await peer.until(lambda one: one.kind == DATA)
        before = looked_at
        peer.send(
            window_update_frame(0, 1000) * 100, window_update_frame(1, 1) * 3, frame(PING, 0, 0, b"8" * 8)
        )
        await peer.until(lambda one: one.kind == PING)
        assert looked_at - before < 20
