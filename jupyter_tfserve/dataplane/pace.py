"""How long a peer may leave waiting what is sent to it: as long as it goes on taking it, if slowly. Reads no clock."""

from __future__ import annotations

import asyncio

from jupyter_tfserve.options import LimitOptions


class Pace:
    """A deadline `write_timeout_s` away, which moves by what the peer takes: `min_body_bytes_per_s` are enough.

    What is taken fast is no credit for later: the deadline is never further away than at first.
    """

    __slots__ = ("_deadline", "_per_s", "_timeout_s")

    def __init__(self, limits: LimitOptions, now: float) -> None:
        self._per_s = limits.min_body_bytes_per_s
        self._timeout_s = limits.write_timeout_s
        self._deadline = now + self._timeout_s

    def begin(self, now: float) -> None:
        """Something waits that did not."""
        self._deadline = now + self._timeout_s

    def is_too_slow(self, taken: int, now: float) -> bool:
        """Whether the peer is, now that it has taken `taken` bytes since it was asked last."""
        self._deadline = min(now + self._timeout_s, self._deadline + taken / self._per_s)
        return now > self._deadline


class FullBuffer:
    """The pace at which a transport's buffer is taken, from the moment on at which it is too full to go on writing."""

    __slots__ = ("_left", "_pace", "_transport")

    def __init__(self, transport: asyncio.Transport, limits: LimitOptions, now: float) -> None:
        self._transport = transport
        self._left = transport.get_write_buffer_size()
        self._pace = Pace(limits, now)

    def is_too_slow(self, now: float) -> bool:
        """Whether its peer takes too little of it."""
        before, self._left = self._left, self._transport.get_write_buffer_size()
        return self._pace.is_too_slow(max(0, before - self._left), now)
