"""Where a JSON body is decoded: at once, in a turn of the loop of its own, or in a thread.

The parsers hold the interpreter's lock, so a thread gives way to the loop only between their calls, or after the
interpreter's 5 ms: for a body that is decoded within that time it helps nobody, and costs half a millisecond.
"""

from __future__ import annotations

import asyncio
from typing import Final

from jupyter_tfserve.codec.json_predict import PredictDocument, parse_buffers, parse_predict
from jupyter_tfserve.options import LimitOptions

OWN_TURN_BYTES: Final = 2**18
"""Bodies from this size on are not decoded beside others in one turn of the loop."""
THREAD_BYTES: Final = 2**21
"""From this size on decoding takes longer than 5 ms."""


class JsonTurns:
    """One data plane's large bodies: of those that are decoded on the loop one in each turn, so that others are read
    and answered between two of them."""

    def __init__(self, limits: LimitOptions) -> None:
        self._limits = limits
        self._turn = asyncio.Lock()

    async def parse(self, body: bytes) -> tuple[PredictDocument, bool]:
        """The document, and whether binding it must be left to a thread; errors as `parse_predict` has them.

        REQUIRES: a body of `OWN_TURN_BYTES` or more.
        """
        if len(body) < THREAD_BYTES:
            await self._turn.acquire()
            asyncio.get_running_loop().call_soon(self._turn.release)
            document = parse_buffers(body, self._limits)
            if document is not None:
                return document, False
        return await asyncio.to_thread(parse_predict, body, self._limits), True
