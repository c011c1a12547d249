"""gRPC calls that are begun without a coroutine, over real sockets: their answers, callers that leave, their faults."""

from __future__ import annotations

import asyncio
import contextlib
import zlib

import pytest

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.dataplane.http2.frames import DATA, END_STREAM, ErrorCode, frame, rst_stream_frame
from jupyter_tfserve.errors import Code, ServingError
from tests.dataplane.http2_peer import call, connected, head, message, serving

TIMEOUT_S = 20


class Begun:
    """What was begun, told when the test says so."""

    def __init__(self, body, call):
        self.body = body
        self.call = call
        self.caller = QUEUE_CALLER.get()
        self.cancelled = asyncio.Event()

    def cancel(self):
        self.cancelled.set()


class Beginner:
    """Begins all calls but those whose body says otherwise."""

    def __init__(self):
        self.begun = asyncio.Queue()

    def __call__(self, body, call):
        if body == b"broken":
            raise ZeroDivisionError
        if body == b"handler":
            return None
        begun = Begun(body, call)
        self.begun.put_nowait(begun)
        return begun

    async def next(self):
        return await asyncio.wait_for(self.begun.get(), TIMEOUT_S)


async def handler(body, context):
    return b"handled " + body


@contextlib.asynccontextmanager
async def playing():
    beginner = Beginner()
    async with serving(handler, begin=beginner) as (_, port), connected(port) as peer:
        yield beginner, peer


async def test_begun_calls_are_answered_in_any_order():
    async with playing() as (beginner, peer):
        peer.send(call(1, b"one"), call(3, b"two"))
        one, two = await beginner.next(), await beginner.next()
        assert (one.body, two.body) == (b"one", b"two")
        assert one.caller == two.caller == one.call.peer()
        two.call.answer(b"2")
        assert (await peer.answer(3))[0] == message(b"2")
        one.call.answer(b"1")
        answer, headers = await peer.answer(1)
        assert (answer, headers["grpc-status"]) == (message(b"1"), "0")
        one.call.answer(b"once more")
        peer.send(call(5, b"handler"))
        assert (await peer.answer(5))[0] == message(b"handled handler")


async def test_begun_call_ends_with_the_status_of_its_error():
    async with playing() as (beginner, peer):
        peer.send(call(1))
        (await beginner.next()).call.fail_by(ServingError(Code.NOT_FOUND, "no such model"))
        _, headers = await peer.answer(1)
        assert (headers["grpc-status"], headers["grpc-message"]) == ("5", "no such model")


async def test_begun_call_is_cancelled_when_its_caller_resets_it():
    async with playing() as (beginner, peer):
        peer.send(call(1))
        begun = await beginner.next()
        peer.send(rst_stream_frame(1, ErrorCode.CANCEL))
        await asyncio.wait_for(begun.cancelled.wait(), TIMEOUT_S)
        begun.call.answer(b"too late")
        begun.call.fail_by(ValueError())
        peer.send(call(3, b"handler"))
        assert (await peer.answer(3))[0] == message(b"handled handler")


async def test_begun_call_is_cancelled_when_its_connection_ends():
    async with playing() as (beginner, peer):
        peer.send(call(1))
        begun = await beginner.next()
        await peer.close()
        await asyncio.wait_for(begun.cancelled.wait(), TIMEOUT_S)


async def test_begun_call_is_cancelled_when_its_time_is_up():
    async with playing() as (beginner, peer):
        peer.send(call(1, grpc_timeout="20m"))
        begun = await beginner.next()
        _, headers = await peer.answer(1)
        assert headers["grpc-status"] == "4"
        assert begun.cancelled.is_set()


@pytest.mark.parametrize("is_compressed", [False, True])
async def test_call_is_its_handlers_when_it_is_not_begun(is_compressed):
    async with playing() as (beginner, peer):
        if is_compressed:
            # What is compressed may have to wait for a thread.
            body = frame(DATA, END_STREAM, 1, message(zlib.compress(b"x"), compressed=1))
            peer.send(head(1, grpc_encoding="deflate"), body)
        else:
            peer.send(call(1, b"handler"))
        answer, _ = await peer.answer(1)
        assert answer == message(b"handled x" if is_compressed else b"handled handler")
        assert beginner.begun.empty()


async def test_fault_while_a_call_is_begun_costs_that_call_only():
    async with playing() as (_, peer):
        peer.send(call(1, b"broken"), call(3, b"handler"))
        _, headers = await peer.answer(1)
        assert headers["grpc-status"] == "13"
        assert "ZeroDivision" not in str(headers)
        assert (await peer.answer(3))[0] == message(b"handled handler")
