"""What one HTTP/2 peer may cost, as one value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from jupyter_tfserve.options import LimitOptions

HEADER_ROOM: Final = 20
"""Headers up to so many times the limit are read, so that their request is refused alone; above, the connection ends."""
MAX_LARGE_BLOCKS: Final = 16
"""So many header blocks of more than twice the limit may be on their way at once, all connections together."""


@dataclass(frozen=True, slots=True)
class Http2Options:
    """A connection's limits beside `limits`, which REST's connections have as well. Bytes and seconds."""

    limits: LimitOptions
    max_concurrent_streams: int = 1024
    max_header_bytes: int = 64 * 2**10
    stream_window: int = 4 * 2**20
    connection_window: int = 16 * 2**20
    max_frame_bytes: int = 2**16
    max_idle_s: float = 300.0
    max_age_s: float = math.inf
    max_age_grace_s: float = math.inf
    keepalive_s: float = 7200.0
    keepalive_timeout_s: float = 20.0
    keepalive_without_streams: bool = False
    resets_at_once: int = 2000
    resets_per_s: float = 2000.0
    """Streams that are reset in the same breath that opens them. Calls that run out of time may be, so that who has more
    of them is read no faster than this, and nothing is closed."""
    faults_at_once: int = 1000
    faults_per_s: float = 200.0
    """Streams that the peer makes us reset."""
    pings_at_once: int = 1000
    pings_per_s: float = 200.0
    """PING and SETTINGS, which must be answered."""
    empty_at_once: int = 20_000
    empty_per_s: float = 10_000.0
    """Frames that bring nothing: empty DATA, PRIORITY, unknown ones, CONTINUATION, windows opened by crumbs, resets of
    what is over. As many streams may be opened beyond the limit, or after we have said goodbye."""
