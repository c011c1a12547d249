"""A gzip-compressed body into plain bytes, no more of them than allowed. Pure."""

from __future__ import annotations

import zlib
from typing import Final

from jupyter_tfserve.errors import Code, ServingError, invalid_argument

_GZIP_ONLY: Final = 16 + zlib.MAX_WBITS
"""zlib's way to ask for gzip's header and checksum, and nothing else."""


class BodyTooLarge(ServingError):
    """The body would be larger than the limit: RESOURCE_EXHAUSTED, which HTTP calls 413."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            Code.RESOURCE_EXHAUSTED, f"The request's body is too large; the limit is {max_bytes} bytes"
        )


def inflate(body: bytes, max_bytes: int) -> bytes:
    """What was compressed, all members of it; holds at most `max_bytes` + 1 bytes at any time.

    INVALID_ARGUMENT if this is not gzip, is cut off or fails its checksum; BodyTooLarge above `max_bytes`.
    """
    parts: list[bytes] = []
    left = max_bytes
    rest = body
    while rest or not parts:
        member = zlib.decompressobj(_GZIP_ONLY)
        try:
            # One byte more than allowed tells a body that is too large from one that just fits.
            part = member.decompress(rest, left + 1)
        except zlib.error:
            raise invalid_argument("The request's body is not valid gzip") from None
        if len(part) > left:
            raise BodyTooLarge(max_bytes)
        if not member.eof:
            raise invalid_argument("The request's body is not valid gzip: its end is missing")
        left -= len(part)
        parts.append(part)
        # Some writers pad the last member with zeros, and gzip itself lets that pass.
        rest = member.unused_data.lstrip(b"\0")
    return b"".join(parts)
