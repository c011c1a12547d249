"""White space of REST answers as rapidjson's PrettyWriter puts it, which TensorFlow Serving writes with. Pure.

Four spaces a level; in its other mode arrays stay on one line, and only objects are spread. A level is how many
arrays and objects are open around a value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache


@cache
def line_break(level: int) -> bytes:
    """The end of a line and the indentation of the next."""
    return b"\n" + b"    " * level


def nested(elements: Sequence[bytes], shape: tuple[int, ...], level: int, one_line: bool) -> bytes:
    """Elements in row-major order as nested arrays at `level`."""
    for axis in range(len(shape) - 1, -1, -1):
        size, count = shape[axis], math.prod(shape[:axis])
        opening, separator, closing = _brackets(level + axis, one_line)
        elements = [
            opening + separator.join(elements[at * size : (at + 1) * size]) + closing if size else b"[]"
            for at in range(count)
        ]
    return elements[0]


def in_line(texts: Sequence[str], shape: tuple[int, ...]) -> bytes | None:
    """The same on one line, of what most answers are: a list or a list of lists, none of them empty; else None."""
    if len(shape) == 1 and texts:
        return ("[" + ", ".join(texts) + "]").encode()
    if len(shape) != 2 or not texts:
        return None
    size = shape[1]
    if size == 1:
        return ("[[" + "], [".join(texts) + "]]").encode()
    rows = [", ".join(texts[at : at + size]) for at in range(0, len(texts), size)]
    return ("[[" + "], [".join(rows) + "]]").encode()


def spread(text: bytes, shape: tuple[int, ...], level: int) -> bytes:
    """An array of numbers, given as JSON without white space, with each number on a line of its own."""
    if 0 in shape:
        return nested([], shape, level, one_line=False)
    rank = len(shape)
    inner = level + rank
    text = text.replace(b",", b"," + line_break(inner))
    # Where arrays meet the comma belongs further out; the longest meeting first, as it holds the shorter ones.
    for arrays in range(rank - 1, 0, -1):
        outer = inner - arrays
        closing = b"".join(line_break(inner - depth) + b"]" for depth in range(1, arrays + 1))
        opening = b"".join(b"[" + line_break(outer + depth) for depth in range(1, arrays + 1))
        text = text.replace(
            b"]" * arrays + b"," + line_break(inner) + b"[" * arrays,
            closing + b"," + line_break(outer) + opening,
        )
    opening = b"".join(b"[" + line_break(level + depth) for depth in range(1, rank + 1))
    closing = b"".join(line_break(inner - depth) + b"]" for depth in range(1, rank + 1))
    return opening + text[rank : len(text) - rank] + closing


def spread_object(members: Sequence[bytes], level: int) -> bytes:
    """An object at `level`, a member on each line; objects are spread in both modes."""
    inner = line_break(level + 1)
    return b"{" + inner + (b"," + inner).join(members) + line_break(level) + b"}"


@cache
def _brackets(level: int, one_line: bool) -> tuple[bytes, bytes, bytes]:
    """What opens, separates and closes the elements of an array."""
    if one_line:
        return b"[", b", ", b"]"
    inner = line_break(level + 1)
    return b"[" + inner, b"," + inner, line_break(level) + b"]"
