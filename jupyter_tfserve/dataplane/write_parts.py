"""Bytes in several parts to a transport, so that it says when it has enough.

asyncio's own transports never say so to `writelines` in Python 3.12.0 to 3.12.8, 3.13.0 and 3.13.1 (CVE-2024-12254);
uvloop's always do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

_SELECTOR: Final = "asyncio.selector_events"
FORGETS_TO_PAUSE: Final = (3, 12, 0) <= sys.version_info[:3] < (3, 12, 9) or (
    (3, 13, 0) <= sys.version_info[:3] < (3, 13, 2)
)


def write_parts(transport: asyncio.Transport, parts: Sequence[bytes | memoryview]) -> None:
    """Writes the parts, one after another."""
    if FORGETS_TO_PAUSE and type(transport).__module__ == _SELECTOR:
        transport.write(b"".join(parts))
    else:
        transport.writelines(parts)
