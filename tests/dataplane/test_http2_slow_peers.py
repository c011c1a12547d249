"""What an HTTP/2 peer can cost by being slow: half frames, closed windows, answers that nobody takes, silence."""

from __future__ import annotations

import asyncio
import time

import pytest

from jupyter_tfserve.dataplane.http2.frames import (
    ACK,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    ErrorCode,
    Setting,
    frame,
    rst_stream_frame,
    window_update_frame,
)
from jupyter_tfserve.options import LimitOptions
from tests.dataplane.http2_peer import Peer, call, connected, head, message, serving

CALM = ErrorCode.ENHANCE_YOUR_CALM


def sweep(server, after_s: float) -> None:
    """All connections as they will be looked at so much later."""
    for connection in list(server._service.connections):
        connection.check_deadlines(time.monotonic() + after_s)


async def opened(server, count: int = 1) -> None:
    deadline = time.monotonic() + 20
    while server.open_connections < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


@pytest.mark.parametrize("begun", [b"", PREFACE[:9]], ids=["nothing", "half_a_preface"])
async def test_connection_is_closed_when_it_does_not_begin(begun):
    async with serving() as (server, port):
        peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
        peer.send(begun)
        await opened(server)
        sweep(server, 9)
        assert server.open_connections == 1
        sweep(server, 11)
        assert await peer.goaway_code() == ErrorCode.SETTINGS_TIMEOUT
        await peer.close()


async def test_connection_is_closed_when_a_header_does_not_end():
    async with serving() as (server, port), connected(port) as peer:
        peer.send(frame(HEADERS, 0, 1, b"\0\1a\1b"))
        deadline = time.monotonic() + 20
        (connection,) = server._service.connections
        while connection._in.header_since is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
        sweep(server, 11)
        assert await peer.goaway_code() == ErrorCode.SETTINGS_TIMEOUT


async def test_connection_is_closed_when_a_frame_with_a_header_stays_half():
    whole = head(1)
    async with serving() as (server, port), connected(port) as peer:
        (connection,) = server._service.connections
        for part in (whole[:20], whole[20:] + frame(DATA, 0, 1, message(b"a" * 100)[:50]) + head(3)[:20]):
            halves = connection._reader.halves
            peer.send(part)
            deadline = time.monotonic() + 20
            while connection._reader.halves == halves:
                assert time.monotonic() < deadline
                await asyncio.sleep(0)
            sweep(server, 0)
            sweep(server, 9)
            assert server.open_connections == 1
        sweep(server, 11)
        assert await peer.goaway_code() == ErrorCode.SETTINGS_TIMEOUT


async def test_call_is_ended_when_its_body_is_too_slow_and_the_connection_lives():
    async with serving() as (server, port), connected(port) as peer:
        peer.send(head(1), frame(DATA, 0, 1, message(b"a" * 50_000)[:20_480]), frame(PING, 0, 0, b"12345678"))
        await peer.until(lambda one: one.kind == PING)
        sweep(server, 29)
        sweep(server, 31)  # ten seconds, and a second for each kilobyte
        _, headers = await peer.answer(1)
        assert (headers["grpc-status"], headers["grpc-message"]) == (
            "4",
            "The request's body came too slowly",
        )
        assert await peer.is_well()


async def test_idle_connection_is_told_and_closed():
    async with serving() as (server, port), connected(port) as peer:
        sweep(server, 299)
        assert await peer.is_well()
        sweep(server, 301)
        assert await peer.goaway_code() == ErrorCode.NO_ERROR


async def test_busy_connection_is_not_idle_but_grows_old():
    release = asyncio.Event()

    async def answer(body, context):
        await release.wait()
        return body

    arguments = (("grpc.max_connection_age_ms", 400_000), ("grpc.max_connection_age_grace_ms", 100_000))
    async with serving(answer, arguments=arguments) as (server, port), connected(port) as peer:
        peer.send(call(1), frame(PING, 0, 0, b"12345678"))
        await peer.until(lambda one: one.kind == PING)
        sweep(server, 399)
        assert not [one for one in peer.seen if one.kind == GOAWAY]
        sweep(server, 401)
        await peer.until(lambda one: one.kind == GOAWAY)
        sweep(server, 501)
        assert await peer.goaway_code() == ErrorCode.NO_ERROR


async def test_peer_that_keeps_its_windows_closed_is_cut_off():
    async with serving() as (server, port), connected(port, {Setting.INITIAL_WINDOW_SIZE: 3}) as peer:
        peer.send(call(1))
        await peer.until(lambda one: one.kind == DATA)
        sweep(server, 29)
        sweep(server, 31)
        assert await peer.goaway_code() == CALM


async def test_peer_that_opens_its_windows_by_crumbs_is_cut_off():
    async with serving() as (server, port), connected(port, {Setting.INITIAL_WINDOW_SIZE: 3}) as peer:
        peer.send(call(1, b"a" * 100))
        await peer.until(lambda one: one.kind == DATA)
        for after in (10, 20, 29):
            peer.send(window_update_frame(1, 1))
            await peer.until(lambda one: one.kind == DATA)
            sweep(server, after)
        sweep(server, 31)
        assert await peer.goaway_code() == CALM


async def answer_10_kb(body, context):
    return b"a" * 10_000


async def test_streams_are_refused_while_too_much_waits_for_their_connection():
    """A quarter of 160,000 bytes: five answers and their heads are more than that, without the largest."""
    limits = LimitOptions(max_unfinished_bytes=160_000)
    closed = {Setting.INITIAL_WINDOW_SIZE: 10}
    async with serving(answer_10_kb, limits) as (server, port), connected(port, closed) as peer:
        peer.send(*(call(2 * number + 1) for number in range(5)))
        for _ in range(5):
            await peer.until(lambda one: one.kind == DATA)
        peer.send(call(11))
        assert await peer.reset_code(11) == ErrorCode.REFUSED_STREAM
        peer.send(rst_stream_frame(1, ErrorCode.CANCEL), window_update_frame(3, 20_000))
        await peer.answer(3)
        peer.send(call(13), window_update_frame(13, 20_000))
        await peer.answer(13)
        assert server._service._unsent == 30_015


async def test_calls_are_served_beside_one_answer_of_any_size():
    async def answer(body, context):
        return b"a" * 100_000 if body == b"large" else body

    limits = LimitOptions(max_unfinished_bytes=160_000)
    async with serving(answer, limits) as (_, port), connected(port) as peer:
        peer.send(call(1, b"large"))
        await peer.until(lambda one: one.kind == DATA)
        peer.send(window_update_frame(0, 1000))
        assert await peer.is_well()


async def test_connection_that_leaves_most_waiting_ends_when_all_together_are_too_much():
    limits = LimitOptions(max_unfinished_bytes=55_000)
    closed = {Setting.INITIAL_WINDOW_SIZE: 10}
    async with serving(answer_10_kb, limits) as (server, port), connected(port, closed) as small:
        small.send(call(1))
        await small.until(lambda one: one.kind == DATA)
        async with connected(port, closed) as greedy:
            greedy.send(*(call(2 * number + 1) for number in range(6)))
            assert await greedy.goaway_code() == CALM
        assert server._service._unsent == 10_005
        small.send(window_update_frame(1, 20_000))
        await small.answer(1)
        assert server._service._unsent == 0


async def test_answer_is_sent_no_faster_than_it_is_read_and_no_reader_is_cut_off_who_goes_on(monkeypatch):
    """The whole answer fits the windows, but not what the transport keeps."""
    large = b"a" * 2**25

    async def answer(body, context):
        return large

    open_wide = {Setting.INITIAL_WINDOW_SIZE: 2**31 - 1}
    async with serving(answer) as (server, port), connected(port, open_wide) as peer:
        peer.send(window_update_frame(0, 2**30), call(1))
        (connection,) = server._service.connections
        later, got = 0.0, 0
        for module in ("connection", "outflow"):
            name = f"jupyter_tfserve.dataplane.http2.{module}.monotonic"
            monkeypatch.setattr(name, lambda: time.monotonic() + later)
        while got < len(large):
            got += len((await peer.until(lambda one: one.kind == DATA)).payload)
            assert connection._transport.get_write_buffer_size() < 3 * 2**20
            # Almost three minutes for 32 MiB; the kernel keeps some of them, so that not every step shows.
            if got // 2**20 > later // 5:
                later += 5
                sweep(server, later)
        assert server.open_connections == 1
        assert got == len(large) + 5


async def test_peer_that_does_not_read_is_not_read_and_is_cut_off():
    large = b"a" * 2**25

    async def answer(body, context):
        return large

    open_wide = {Setting.INITIAL_WINDOW_SIZE: 2**31 - 1}
    async with serving(answer) as (server, port), connected(port, open_wide) as peer:
        peer.send(window_update_frame(0, 2**30), call(1))
        (connection,) = server._service.connections
        deadline = time.monotonic() + 20
        while connection._full_buffer is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)
        assert not connection._transport.is_reading()
        sweep(server, 29)
        assert server.open_connections == 1
        sweep(server, 31)
        while server.open_connections:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)


async def test_silent_peer_is_asked_and_cut_off_when_it_does_not_answer():
    arguments = (
        ("grpc.keepalive_time_ms", 50_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
    )
    async with serving(arguments=arguments) as (server, port), connected(port) as peer:
        sweep(server, 51)
        ping = await peer.until(lambda one: one.kind == PING)
        assert not ping.flags & ACK
        peer.send(frame(PING, ACK, 0, ping.payload), frame(PING, 0, 0, b"87654321"))
        await peer.until(lambda one: one.kind == PING)
        sweep(server, 51)
        await peer.until(lambda one: one.kind == PING and not one.flags & ACK)
        sweep(server, 57)
        assert await peer.frame() is None
