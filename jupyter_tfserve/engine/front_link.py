"""The socket between the engine and one of its front processes: many requests under way, frames in both directions.

A frame is a lane's (`worker.frame`): a JSON header, then tensors or a body as it is. Frames that are sent in one turn of
the loop leave together. Belongs to the event loop of either end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import orjson

from jupyter_tfserve.types import Tensors
from jupyter_tfserve.worker.frame import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    PREFIX,
    SMALL_BYTES,
    Buffer,
    Frame,
    encode_tensors,
)


class FrontLink(asyncio.Protocol):
    """One end. `on_frame` gets each frame, `on_lost` is called once, when the other end is gone."""

    def __init__(self, on_frame: Callable[[Frame], None], on_lost: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._needed = PREFIX.size
        self._waiting: list[Buffer] = []

    def send(self, header: dict[str, Any], body: Buffer = b"") -> None:
        """Sends a body as it is. What is sent to an end that is gone is lost."""
        try:
            text = orjson.dumps(header)
        except orjson.JSONEncodeError:
            text = orjson.dumps(_escaped(header))
        self._put([PREFIX.pack(len(text), len(body)) + text, body])

    def send_tensors(self, header: dict[str, Any], tensors: Tensors) -> None:
        """Sends tensors. ServingError if they cannot be sent."""
        try:
            parts = encode_tensors(header, tensors)
        except orjson.JSONEncodeError:
            parts = encode_tensors(_escaped(header), tensors)
        self._put(parts)

    def close(self) -> None:
        """Sends what waits, then closes."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._received += data
        if len(self._received) < self._needed:
            return
        view, start = memoryview(bytes(self._received)), 0
        while True:
            left = len(view) - start
            self._needed = self._frame_bytes(view[start:]) if left >= PREFIX.size else PREFIX.size
            if left < self._needed:
                break
            self._read_frame(view[start : start + self._needed])
            start += self._needed
        self._received = bytearray(view[start:])

    def _frame_bytes(self, view: memoryview) -> int:
        header_bytes, body_bytes = PREFIX.unpack_from(view)
        if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
            self.abort()
        return int(PREFIX.size + header_bytes + body_bytes)

    def _read_frame(self, view: memoryview) -> None:
        body = PREFIX.size + PREFIX.unpack_from(view)[0]
        # As bytes of its own: arrays that are views of it must lie at addresses that fit them.
        header = orjson.loads(view[PREFIX.size : body])
        if "escaped" in header:
            header = {**header, **json.loads(header["escaped"])}
        self._on_frame(Frame(header, bytes(view[body:])))

    def _put(self, parts: list[Buffer]) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting += parts

    def _flush(self) -> None:
        parts, self._waiting = self._waiting, []
        if self._transport is None or self._transport.is_closing():
            return
        small: list[Buffer] = []
        for part in parts:
            if len(part) <= SMALL_BYTES:
                small.append(part)
                continue
            self._transport.write(b"".join(small))
            self._transport.write(part)
            small = []
        if small:
            self._transport.write(b"".join(small))


def _escaped(header: dict[str, Any]) -> dict[str, Any]:
    """A name in a URL may be no Unicode text, which only the standard library's JSON carries."""
    return {"escaped": json.dumps(header)}
