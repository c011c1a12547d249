"""The engine's end of a lane: one stream socket to a worker that carries one batch at a time.

On the data path between the batcher and the worker's callable. Belongs to the event loop. A lane is the unit
of failure: its end of file means that the worker is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from jupyter_tfserve.errand import PromptFuture
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.worker.frame import (
    Call,
    Frame,
    FrameDecoder,
    FrameError,
    LaneResult,
    decode_result,
    encode_call,
)

__all__ = ["Call", "Lane", "LaneLost", "LaneResult"]


class LaneLost(ServingError):
    """The worker process ended before it answered. The model may have run, or not."""

    def __init__(self, reason: str) -> None:
        super().__init__(Code.UNAVAILABLE, reason)


class Lane(asyncio.BufferedProtocol):
    """Runs calls, one at a time. Made by the worker pool.

    `on_free`, if set, is called each time the lane may take the next call, also after the answer to a
    cancelled one has come; it is not called when the lane is lost.
    """

    def __init__(self) -> None:
        self.on_free: Callable[[], None] | None = None
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None
        # Kept: until Python 3.12 asking for it asks the system for the process's number each time.
        self._loop = asyncio.get_running_loop()
        self._answer: PromptFuture[LaneResult] | None = None
        self._lost: str | None = None

    @property
    def busy(self) -> bool:
        """A call is in the worker, even one whose caller has gone; or no call may follow."""
        return self._answer is not None or self._lost is not None

    async def run(self, call: Call) -> LaneResult:
        """The model's answer; its ServingError; LaneLost. REQUIRES: not busy.

        Cancelling only stops the waiting: the lane stays busy until the worker has answered.
        """
        return await self.submit(call)

    def submit(self, call: Call) -> PromptFuture[LaneResult]:
        """`run` without a coroutine, for the hot path; who waits for it goes on as soon as the answer is read."""
        if self._lost is not None:
            raise LaneLost(self._lost)
        transport = self._transport
        if transport is None or self._answer is not None:
            raise ServingError(Code.INTERNAL, "The lane is busy")
        parts = encode_call(call)
        answer = self._answer = PromptFuture(self._loop)
        # One by one: the standard library's writelines would copy them together first.
        for part in parts:
            transport.write(part)
        return answer

    def finish(self) -> None:
        """Lets the worker's thread end once it has answered; no call may follow."""
        transport = self._transport
        if transport is not None and self._lost is None:
            self._lost = "worker process is stopping"
            transport.write_eof()

    def lose(self, reason: str) -> None:
        """Fails the call in flight, and every later one, with LaneLost."""
        self._lost = reason
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.abort()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(LaneLost(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        if self._transport is not None:
            self.lose("worker process died")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the event loop: where it reads to."""
        return self._decoder.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the event loop: so many bytes were read."""
        try:
            frame = self._decoder.received(nbytes)
            if frame is not None:
                self._settle(frame)
        except (FrameError, MemoryError):
            self.lose("worker process sent no proper answer")

    def _settle(self, frame: Frame) -> None:
        answer = self._answer
        if answer is None:
            raise FrameError("an answer without a call")
        outcome: LaneResult | ServingError
        try:
            outcome = decode_result(frame)
        except ServingError as error:
            outcome = error
        # Before the answer is told: who waits for it may send the next call.
        self._answer = None
        if self.on_free is not None and self._lost is None:
            self.on_free()
        if answer.done():
            return
        if isinstance(outcome, ServingError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
