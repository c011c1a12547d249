"""What calls may cost others: places, time, memory of messages, compressed ones. Over real sockets."""

from __future__ import annotations

import asyncio
import threading
import time
import zlib

import pytest

from jupyter_tfserve.dataplane import grpc_call
from jupyter_tfserve.dataplane.grpc_inbox import MAX_STREAMED_BYTES
from jupyter_tfserve.dataplane.grpc_places import MAX_STREAMS_A_CONNECTION
from jupyter_tfserve.dataplane.http2.frames import DATA, END_STREAM, PING, frame
from jupyter_tfserve.errors import Code
from jupyter_tfserve.options import LimitOptions
from tests.dataplane.http2_peer import connected, head, message, serving

WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
EXHAUSTED = str(int(Code.RESOURCE_EXHAUSTED))
LATE = str(int(Code.DEADLINE_EXCEEDED))


def watch(stream: int, data: bytes = b"") -> bytes:
    return head(stream, path=WATCH) + (frame(DATA, 0, stream, data) if data else b"")


def sweep(server, seconds: float) -> None:
    """The once-a-second look at all connections, so many seconds later."""
    for connection in list(server._service.connections):
        connection.check_deadlines(time.monotonic() + seconds)


async def taken(peer) -> None:
    """Returns when the server has read what was sent so far."""
    peer.send(frame(PING, 0, 0, b"12345678"))
    await peer.until(lambda one: one.kind == PING)


async def status(peer, stream: int) -> str:
    return (await peer.answer(stream))[1]["grpc-status"]


async def test_calls_have_places_when_streams_have_taken_all_of_theirs():
    async with serving(limits=LimitOptions(max_connections=8)) as (_, port), connected(port) as peer:
        peer.send(watch(1), watch(3), watch(5))
        assert await status(peer, 5) == EXHAUSTED
        assert await peer.is_well(7)


async def test_streams_of_one_connection_leave_places_to_others():
    async with serving() as (_, port), connected(port) as peer, connected(port) as other:
        numbers = range(1, 2 * MAX_STREAMS_A_CONNECTION + 3, 2)
        peer.send(*(watch(stream) for stream in numbers))
        assert await status(peer, numbers[-1]) == EXHAUSTED
        other.send(watch(1, message(b"")))
        await other.until(lambda one: one.kind == DATA)


async def test_places_are_free_again_when_streams_are_over():
    async with serving(limits=LimitOptions(max_connections=8)) as (_, port), connected(port) as peer:
        for first in range(1, 401, 4):
            peer.send(watch(first, message(b"x") * 1100), watch(first + 2, message(b"x") * 1100))
            assert [await status(peer, first), await status(peer, first + 2)] == [EXHAUSTED] * 2
        peer.send(watch(501, message(b"")))
        await peer.until(lambda one: one.kind == DATA)


async def test_stranger_takes_no_callers_place():
    async with serving(limits=LimitOptions(max_connections=4)) as (_, port), connected(port) as peer:
        peer.send(*(head(stream, path="/no/such") for stream in (1, 3, 5, 7, 9)))
        assert await status(peer, 9) == str(int(Code.UNIMPLEMENTED))
        assert await peer.is_well(11)


@pytest.mark.parametrize(
    "begun", [b"", message(b"12345")[:3], message(b"12345")[:8]], ids=["none", "head", "body"]
)
async def test_stream_is_ended_when_its_message_does_not_come(begun):
    async with serving() as (server, port), connected(port) as peer:
        peer.send(watch(1, begun), watch(3, message(b"")))
        await taken(peer)
        sweep(server, 11)
        assert await status(peer, 1) == LATE
        assert 3 in next(iter(server._service.connections)).streams


async def test_stream_is_ended_when_its_second_message_does_not_end():
    async with serving() as (server, port), connected(port) as peer:
        peer.send(head(1, path=REFLECTION), frame(DATA, 0, 1, message(b"\xff") + message(b"\xff")[:3]))
        await peer.until(lambda one: one.kind == DATA)
        await taken(peer)
        sweep(server, 9)
        assert 1 in next(iter(server._service.connections)).streams
        sweep(server, 11)
        assert await status(peer, 1) == LATE


@pytest.mark.parametrize(
    "data",
    [
        message(bytes(MAX_STREAMED_BYTES + 1))[:5],
        message(zlib.compress(bytes(MAX_STREAMED_BYTES + 1)), compressed=1),
        message(b"") * 1100,
    ],
    ids=["claimed", "inflated", "many"],
)
async def test_stream_is_refused_when_its_messages_are_large_or_many(data):
    pieces = [data[at : at + 60_000] for at in range(0, len(data), 60_000)]
    async with serving() as (_, port), connected(port) as peer:
        peer.send(head(1, path=WATCH, grpc_encoding="deflate"))
        peer.send(*(frame(DATA, 0, 1, piece) for piece in pieces))
        assert await status(peer, 1) == EXHAUSTED
        assert await peer.is_well(3)


@pytest.mark.parametrize("sent", [2, 0])
async def test_watch_ends_when_it_is_not_asked_by_one_message(sent):
    """As every method that takes one does, in the midst of its answers too."""
    async with serving() as (_, port), connected(port) as peer:
        peer.send(watch(1, message(b"") if sent else b""))
        if sent:
            await peer.until(lambda one: one.kind == DATA)
            peer.send(frame(DATA, 0, 1, message(b"")))
        else:
            peer.send(frame(DATA, END_STREAM, 1, b""))
        assert await status(peer, 1) == str(int(Code.UNIMPLEMENTED))
        assert await peer.is_well(3)


async def test_empty_messages_count_when_they_wait():
    limits = LimitOptions(max_unfinished_bytes=10_000)
    async with serving(limits=limits) as (_, port), connected(port) as peer:
        peer.send(watch(1, message(b"") * 200))
        _, headers = await peer.answer(1)
        assert "Unfinished requests" in headers["grpc-message"]


async def test_messages_count_no_longer_when_each_came_with_the_beginning_of_the_next():
    sent = message(b"\xff" * 100)
    async with (
        serving(limits=LimitOptions(max_unfinished_bytes=10_000)) as (_, port),
        connected(port) as peer,
    ):
        peer.send(head(1, path=REFLECTION), frame(DATA, 0, 1, sent[:3]))
        for _ in range(200):
            peer.send(frame(DATA, 0, 1, sent[3:] + sent[:3]))
            assert (await peer.until(lambda one: one.stream == 1 and one.payload)).kind in (0, 1)
        assert all("grpc-status" not in repr(one.payload) for one in peer.seen)


async def test_what_compressed_messages_inflate_to_is_bounded_together():
    release, entered = asyncio.Event(), 0

    async def answer(body, context):
        nonlocal entered
        entered += 1
        await release.wait()
        return b"%d" % len(body)

    body = zlib.compress(bytes(1_000_000))
    limits = LimitOptions(max_unfinished_bytes=2_500_000)
    async with serving(answer, limits) as (_, port), connected(port) as peer:
        for stream in (1, 3, 5):
            peer.send(head(stream, grpc_encoding="deflate"), frame(DATA, 1, stream, message(body, 1)))
        refused = await peer.until(lambda one: one.kind == 1)
        assert b"Unfinished" in refused.payload
        deadline = time.monotonic() + 20
        while entered < 2:
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
        release.set()
        first = min({1, 3, 5} - {refused.stream})
        assert (await peer.answer(first))[0] == message(b"1000000")
        for stream in range(7, 27, 2):
            peer.send(head(stream, grpc_encoding="deflate"), frame(DATA, 1, stream, message(body, 1)))
            assert (await peer.answer(stream))[0] == message(b"1000000")


async def test_message_is_inflated_in_a_thread_when_little_becomes_much(monkeypatch):
    seen = []
    inflate = grpc_call.inflate

    def spied(sent, encoding, max_bytes):
        seen.append((threading.current_thread() is threading.main_thread(), max_bytes))
        return inflate(sent, encoding, max_bytes)

    async def answer(body, context):
        return b"%d" % len(body)

    monkeypatch.setattr(grpc_call, "inflate", spied)
    async with serving(answer) as (_, port), connected(port) as peer:
        for stream, size in ((1, 1000), (3, 1_000_000)):
            sent = message(zlib.compress(bytes(size)), 1)
            peer.send(head(stream, grpc_encoding="deflate"), frame(DATA, 1, stream, sent))
            assert (await peer.answer(stream))[0] == message(b"%d" % size)
    assert seen == [(True, 2**16), (True, 2**16), (False, LimitOptions().max_body_bytes)]
