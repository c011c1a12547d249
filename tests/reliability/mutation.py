"""A file with small faults."""

from __future__ import annotations

import random


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The file with some of its bytes flipped, cut, doubled, moved or replaced."""
    out = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(out))
        length = min(chance.choice((1, 1, 2, 4, 16, 64)), len(out) - at)
        match chance.randrange(6):
            case 0:
                out[at] ^= 1 << chance.randrange(8)
            case 1:
                out[at : at + length] = chance.randbytes(length)
            case 2:
                out[at : at + length] = b"\xff" * length
            case 3:
                out[at:at] = out[at : at + length]
            case 4:
                del out[at : at + length]
            case _:
                del out[chance.randrange(len(out)) :]
        out = out or bytearray(b"\0")
    return bytes(out)
