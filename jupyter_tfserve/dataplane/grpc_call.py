"""One gRPC call: a stream whose request becomes messages, what is under way for it, and the answer or the status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.dataplane.grpc_head import Begun, CallHead, Handler, StreamHandler
from jupyter_tfserve.dataplane.grpc_inbox import Inbox, not_one
from jupyter_tfserve.dataplane.grpc_messages import (
    HEAD_BYTES,
    Message,
    MessageReader,
    inflate,
    message_head,
    whole_answer,
)
from jupyter_tfserve.dataplane.grpc_places import Places
from jupyter_tfserve.dataplane.grpc_status import (
    ANSWER_HEADERS,
    OK_TRAILERS,
    Failure,
    Metadata,
    failure_block,
    failure_of,
    trailers_block,
)
from jupyter_tfserve.dataplane.http2.frames import ErrorCode, StreamFault
from jupyter_tfserve.dataplane.http2.header_blocks import header_block
from jupyter_tfserve.dataplane.http2.stream import Stream
from jupyter_tfserve.errors import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from jupyter_tfserve.dataplane.grpc_application import GrpcApplication
    from jupyter_tfserve.dataplane.http2.connection import Connection

_INFLATED_IN_PLACE: Final = 64 * 2**10
"""What inflates to more is left to a thread."""
_SENT_IN_PLACE: Final = 64 * 2**10
"""Answers from this size on are not copied."""
_LATE: Final = Failure(Code.DEADLINE_EXCEEDED, "Deadline Exceeded")
_SLOW: Final = Failure(Code.DEADLINE_EXCEEDED, "The request's body came too slowly")
_STOPPING: Final = Failure(Code.UNAVAILABLE, "The server is shutting down")
_CANCELLED: Final = Failure(Code.CANCELLED, "The call was cancelled by the server")
_TOO_MANY: Final = Failure(Code.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
_NOT_ONE: Final = failure_of(not_one())


class Call(Stream):
    """A call, and the context that its handler sees. What is under way for it ends if the caller leaves or is late."""

    __slots__ = (
        "_application",
        "_deadline",
        "_head",
        "_held",
        "_inbox",
        "_messages",
        "_place",
        "_reader",
        "_received_bytes",
        "_refusal",
        "_timer",
        "_trailing",
        "_under_way",
        "_wrote_headers",
    )

    def __init__(
        self, connection: Connection[Any], stream_id: int, head: CallHead, application: GrpcApplication
    ) -> None:
        Stream.__init__(self, connection, stream_id)
        self.length_left = head.content_length
        self._head = head
        self._application = application
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: Begun | None = None
        self._reader: MessageReader | None = None
        self._inbox: Inbox | None = None
        self._messages: list[Message] = []
        self._trailing: Metadata | None = None
        self._refusal: Failure | None = None
        self._held = 0
        self._received_bytes = 0
        self._place: Places | None = None
        self._wrote_headers = False

    # What a handler may ask and say

    def peer(self) -> str:
        """The caller's address."""
        return self.connection.peer

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """What the caller sent beside the message."""
        return self._head.metadata

    def time_remaining(self) -> float | None:
        """Seconds, or None if the caller waits for ever."""
        return None if self._deadline is None else max(0.0, self._deadline - monotonic())

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """What goes out after the answer."""
        self._trailing = metadata

    # What the connection tells

    def opened(self) -> None:
        head, application = self._head, self._application
        if head.is_malformed:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR)
        if head.http_status != 200:
            status = str(head.http_status).encode()
            self.send_headers(header_block(((b":status", status),)), is_end=True)
            return
        refusal = application.refusal(head)
        if refusal is not None:
            self._refusal = failure_of(refusal)
            if not self._take(application.refused):
                self.fail(self._refusal)
            return
        if not self._take(application.calls if head.stream_handler is None else application.streams):
            self.fail(_TOO_MANY)
            return
        if head.timeout_s is not None:
            self._deadline = self.began + head.timeout_s
            self._timer = application.call_later(head.timeout_s, self._expire)
        if head.stream_handler is not None:
            handler = head.stream_handler
            self._inbox = Inbox(self, head.encoding, application.max_receive_bytes, handler.takes_one)
            self._start(self._answer_stream, handler, self._inbox)

    def received(self, piece: bytes | memoryview, is_last: bool) -> None:
        if self._refusal is not None:
            # Not earlier: clients that stream take a status before their first message for a broken connection.
            self.fail(self._refusal)
            return
        if is_last and self._reader is None and self._inbox is None and len(piece) >= HEAD_BYTES:
            size = len(piece) - HEAD_BYTES
            if (
                not piece[0]
                and int.from_bytes(piece[1:HEAD_BYTES], "big") == size
                and size <= self._application.max_receive_bytes
            ):
                self._begin(Message(False, bytes(piece[HEAD_BYTES:])))
                return
        try:
            if self._inbox is not None:
                self._inbox.put(piece, is_last)
            else:
                self._collect(piece, is_last)
        except ServingError as error:
            self.fail_by(error)

    def gone(self) -> None:
        self._release()
        if self._under_way is not None:
            self._under_way.cancel()

    def drained(self) -> None:
        if self._inbox is not None:
            self._inbox.drained.set()

    def is_late(self, now: float) -> bool:
        limits, inbox = self.connection.options.limits, self._inbox
        since, received = self.began, self._received_bytes
        if inbox is not None:
            if inbox.owed_since is None:
                return False
            since, received = inbox.owed_since, inbox.received
        return now - since > limits.header_timeout_s + received / limits.min_body_bytes_per_s

    def too_late(self) -> None:
        self.fail(self._refusal or _SLOW)

    def stopping(self) -> None:
        self.fail(_STOPPING)

    # The request

    def _collect(self, piece: bytes | memoryview, is_last: bool) -> None:
        """A request of several pieces, or one that is no plain message."""
        reader = self._reader
        if reader is None:
            reader = self._reader = MessageReader(self._application.max_receive_bytes)
        self._received_bytes += len(piece)
        self._messages += reader.feed(piece)
        self.hold(reader.held - self._held)
        if len(self._messages) > 1:
            self.fail(_NOT_ONE)
        elif not is_last:
            self.give_window(len(piece))
        elif reader.is_inside:
            raise invalid_argument("The request ends inside a message")
        elif not self._messages:
            self.fail(_NOT_ONE)
        else:
            (message,) = self._messages
            self._messages, self._reader = [], None
            self._begin(message)

    def hold(self, size: int) -> None:
        """Counts bytes of an unfinished request. RESOURCE_EXHAUSTED if those of all calls are too many."""
        self._held += size
        self._application.hold(size)

    def let_go(self, size: int) -> None:
        """So many of them are not kept any more."""
        self._held -= size
        self._application.let_go(size)

    # The answer

    def _begin(self, message: Message) -> None:
        head = self._head
        if head.beginner is not None and not message.is_compressed:
            QUEUE_CALLER.set(self.connection.peer)
            try:
                self._under_way = head.beginner(message.body, self)
            except Exception as error:  # the rim, as below
                self.fail_by(error)
                return
        if self._under_way is None and head.handler is not None:
            self._start(self._answer, head.handler, message)

    def _start(self, answer: Callable[..., Awaitable[None]], *asked: object) -> None:
        self._under_way = self._application.create_task(self._run(answer, asked))

    async def _run(self, answer: Callable[..., Awaitable[None]], asked: Sequence[object]) -> None:
        """The rim of every method: whatever goes wrong costs this call only."""
        QUEUE_CALLER.set(self.connection.peer)
        try:
            await answer(*asked)
        except asyncio.CancelledError:
            self.fail(_CANCELLED)
            raise
        except Exception as error:
            self.fail_by(error)

    async def _answer(self, handler: Handler, message: Message) -> None:
        body = message.body
        if message.is_compressed:
            # What waits for a thread counts, and what little became much, until the call ends.
            self.hold(len(body))
            body = await self._inflated(message)
            self.hold(len(body))
        self.answer(await handler(body, self))

    async def _inflated(self, message: Message) -> bytes:
        application, encoding = self._application, self._head.encoding
        limit = application.max_receive_bytes
        short = min(limit, _INFLATED_IN_PLACE)
        if len(message.body) <= short:
            try:
                return inflate(message, encoding, short)
            except ServingError as error:
                if error.code is not Code.RESOURCE_EXHAUSTED or short == limit:
                    raise
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(application.inflaters, inflate, message, encoding, limit)

    def answer(self, answer: bytes) -> None:
        """Sends a unary method's answer; nothing if the call is over."""
        if not self.is_open:
            return
        out = self.connection.out
        size = len(answer) + HEAD_BYTES
        if len(answer) > self._application.max_send_bytes:
            bounds = f"({len(answer)} vs. {self._application.max_send_bytes})"
            self.fail(Failure(Code.RESOURCE_EXHAUSTED, f"SERVER: Sent message larger than max {bounds}"))
            return
        if (
            self._trailing is None
            and size <= out.max_frame
            and size <= out.window
            and size <= self.send_window
        ):
            out.window -= size
            self._release()
            self.connection.finish(self, whole_answer(self.id, answer))
            return
        self._wrote_headers = True
        self.send_headers(ANSWER_HEADERS)
        trailers = OK_TRAILERS if self._trailing is None else trailers_block(self._trailing)
        if len(answer) < _SENT_IN_PLACE:
            self.send(message_head(len(answer)) + answer, trailers)
        else:
            self.send(message_head(len(answer)))
            self.send(answer, trailers)

    async def _answer_stream(self, handler: StreamHandler, inbox: Inbox) -> None:
        """An answer waits until the one before is out."""
        async for answer in handler.answer(inbox.messages()):
            if not self._wrote_headers:
                self._wrote_headers = True
                self.send_headers(ANSWER_HEADERS)
            inbox.drained.clear()
            self.send(message_head(len(answer)) + answer)
            await inbox.drained.wait()
        if self.is_open:
            if not self._wrote_headers:
                self.send_headers(ANSWER_HEADERS)
            self.send(b"", OK_TRAILERS)

    def fail(self, failure: Failure) -> None:
        """Ends the call with a status; nothing if it has ended."""
        if not self.is_open:
            return
        under_way, self._under_way = self._under_way, None
        self.connection.out.drop(self)
        self.send_headers(failure_block(failure, not self._wrote_headers), is_end=True)
        if under_way is not None and under_way is not asyncio.current_task():
            under_way.cancel()

    def fail_by(self, error: Exception) -> None:
        """Ends the call with an error's status."""
        self.fail(failure_of(error))

    def _expire(self) -> None:
        self.fail(_LATE)

    def finish(self) -> None:
        """The answer is out."""
        self._release()
        self.connection.finish(self)

    def _release(self) -> None:
        """The call counts no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._place is not None:
            self._place.leave(self.connection)
            self._place = None
        if self._held:
            self.let_go(self._held)

    def _take(self, place: Places) -> bool:
        """Whether there is a place; it is the call's until its end."""
        if not place.take(self.connection):
            return False
        self._place = place
        return True
