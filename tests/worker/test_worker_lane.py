"""One lane over a real socket to a peer that the test plays, on asyncio's loop and on the engine's."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import pytest
import uvloop

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.worker.frame import (
    PREFIX,
    Call,
    FrameDecoder,
    decode_call,
    encode_error,
    encode_result,
)
from jupyter_tfserve.worker.lane import Lane, LaneLost

CALL = Call("serving_default", {"x": np.array([1, 2], "f4")}, ("y",), 0.5)


class Peer:
    """The worker's side, played by hand, on a blocking socket that the test reads in a thread."""

    def __init__(self, sock):
        self.sock = sock
        self._decoder = FrameDecoder()

    def _read(self):
        frame = None
        while frame is None:
            count = self.sock.recv_into(self._decoder.get_buffer())
            assert count, "the lane was closed"
            frame = self._decoder.received(count)
        return decode_call(frame)

    async def read(self):
        return await asyncio.to_thread(self._read)

    async def write(self, *parts):
        for part in parts:
            await asyncio.to_thread(self.sock.sendall, part)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request):
    """Runs `scene(lane, peer)` on a new loop."""

    async def staged(scene):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        lane = Lane()
        await asyncio.get_running_loop().create_unix_connection(lambda: lane, sock=ours)
        try:
            await scene(lane, Peer(theirs))
        finally:
            lane.lose("the play is over")
            theirs.close()

    def run(scene):
        loop = request.param()
        try:
            loop.run_until_complete(asyncio.wait_for(staged(scene), 30))
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    return run


def y(*values):
    return encode_result({"y": np.array(values, "f4")}, 0.25)


def test_run_returns_the_answer_when_the_worker_gives_one(play):
    async def scene(lane, peer):
        running = asyncio.ensure_future(lane.run(CALL))
        call = await peer.read()
        assert (call.signature, call.outputs, call.timeout_s) == ("serving_default", ("y",), 0.5)
        assert lane.busy
        await peer.write(*y(3, 4))
        result = await running
        assert result.outputs["y"].tolist() == [3, 4]
        assert result.compute_s == 0.25
        assert not lane.busy

    play(scene)


def test_run_raises_the_models_error_and_goes_on_when_the_call_fails(play):
    async def scene(lane, peer):
        for _ in range(2):
            running = asyncio.ensure_future(lane.run(CALL))
            await peer.read()
            await peer.write(*encode_error(ServingError(Code.OUT_OF_RANGE, "too far")))
            with pytest.raises(ServingError, match="too far") as raised:
                await running
            assert raised.value.code is Code.OUT_OF_RANGE

    play(scene)


def test_large_arrays_arrive_whole_when_they_exceed_every_buffer(play):
    async def scene(lane, peer):
        big = np.random.default_rng(1).random(5_000_000)
        running = asyncio.ensure_future(lane.run(Call("s", {"x": big, "z": CALL.inputs["x"]})))
        call = await peer.read()
        assert (call.inputs["x"] == big).all()
        await peer.write(*encode_result({"y": call.inputs["x"]}, 0))
        assert ((await running).outputs["y"] == big).all()

    play(scene)


def test_lane_stays_busy_until_the_answer_when_the_caller_was_cancelled(play, eventually):
    async def scene(lane, peer):
        freed = []
        lane.on_free = lambda: freed.append(lane.busy)
        running = asyncio.ensure_future(lane.run(CALL))
        await peer.read()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert lane.busy
        assert freed == []
        with pytest.raises(ServingError, match="busy"):
            await lane.run(CALL)
        await peer.write(*y(1))
        await eventually(lambda: not lane.busy)
        assert freed == [False]
        second = asyncio.ensure_future(lane.run(CALL))
        await peer.read()
        await peer.write(*y(2))
        assert (await second).outputs["y"].tolist() == [2]
        assert freed == [False, False]

    play(scene)


def test_run_raises_lane_lost_when_the_worker_closes(play):
    async def scene(lane, peer):
        freed = []
        lane.on_free = lambda: freed.append(1)
        running = asyncio.ensure_future(lane.run(CALL))
        await peer.read()
        await peer.write(b"".join(y(1))[:-1])
        peer.sock.close()
        for attempt in (running, lane.run(CALL)):
            with pytest.raises(LaneLost, match="worker process died") as raised:
                await attempt
            assert raised.value.code is Code.UNAVAILABLE
        assert lane.busy
        assert freed == []

    play(scene)


@pytest.mark.parametrize(
    "garbage",
    [
        PREFIX.pack(2, 2**62),
        PREFIX.pack(2, 0) + b"{]",
        PREFIX.pack(2, 0) + b"{}",
        b"".join(y(1)) + b"more",
        b"".join(encode_result({"y": np.zeros(2)}, 0))[:-8].replace(b",16]", b",8]"),
    ],
)
def test_lane_is_lost_when_the_worker_sends_garbage(play, garbage):
    async def scene(lane, peer):
        running = asyncio.ensure_future(lane.run(CALL))
        await peer.read()
        await peer.write(garbage + bytes(64))
        with pytest.raises(LaneLost):
            await running

    play(scene)


def test_lane_is_lost_when_the_worker_speaks_unasked(play, eventually):
    async def scene(lane, peer):
        await peer.write(*y(1))
        await eventually(lambda: lane.busy)
        with pytest.raises(LaneLost, match="no proper answer"):
            await lane.run(CALL)

    play(scene)


def test_finish_lets_the_answer_come_when_a_call_is_in_flight(play):
    async def scene(lane, peer):
        running = asyncio.ensure_future(lane.run(CALL))
        await peer.read()
        lane.finish()
        assert await asyncio.to_thread(peer.sock.recv, 1) == b""
        with pytest.raises(LaneLost, match="stopping"):
            await lane.run(CALL)
        await peer.write(*y(7))
        assert (await running).outputs["y"].tolist() == [7]

    play(scene)
