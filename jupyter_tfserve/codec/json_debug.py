"""JSON values as error texts quote them, and the one way in which we escape a JSON string.

`debug_text` prints as TensorFlow Serving's error messages do: objects over lines with four spaces of indent,
arrays on one line, and no more after 256 bytes. A caller's document is never quoted in full.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

import orjson

from jupyter_tfserve.codec.json_values import JsonValue, members, text_bytes

MAX_DEBUG_BYTES: Final = 256

_SPECIAL: Final = re.compile(rb'["\\\x00-\x1f]')
_ESCAPES: Final = {
    **{bytes([code]): b"\\u%04X" % code for code in range(0x20)},
    b'"': b'\\"',
    b"\\": b"\\\\",
    b"\b": b"\\b",
    b"\f": b"\\f",
    b"\n": b"\\n",
    b"\r": b"\\r",
    b"\t": b"\\t",
}


def quote(text: bytes) -> bytes:
    """`text` as a JSON string; only what JSON demands is escaped, bytes that are no UTF-8 are copied."""
    if _SPECIAL.search(text) is None:
        return b'"' + text + b'"'
    return b'"' + _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text) + b'"'


def debug_text(value: JsonValue) -> str:
    """`value` as error messages show it, cut between two tokens once 256 bytes are written.

    Printing stops before a NaN or an infinity, as TensorFlow Serving's writer does.
    """
    written = bytearray()
    for token in _tokens(value):
        written += token
        if len(written) >= MAX_DEBUG_BYTES:
            break
    return written.decode("utf-8", "surrogateescape")


def _tokens(root: JsonValue) -> Iterator[bytes]:
    """The text, token by token; separators come with the token that follows them. Never recursive."""
    open_containers: list[_OpenContainer] = []
    value = root
    while True:
        prefix = open_containers[-1].prefix() if open_containers else b""
        if isinstance(value, (dict, list)):
            container = _OpenContainer(value, len(open_containers) + 1)
            yield prefix + (b"{" if container.is_object else b"[")
            open_containers.append(container)
        else:
            text = _scalar(value)
            yield prefix + (text or b"")
            if text is None:
                return
        while open_containers and not open_containers[-1].advance():
            yield open_containers.pop().closing()
        if not open_containers:
            return
        top = open_containers[-1]
        if top.is_object:
            yield top.key_prefix() + quote(text_bytes(top.key))
        value = top.value


class _OpenContainer:
    """An array or object whose members are being printed."""

    __slots__ = ("_elements", "_level", "count", "is_object", "key", "value")

    def __init__(self, container: list[JsonValue] | dict[str, JsonValue], level: int) -> None:
        self.is_object = isinstance(container, dict)
        self._elements: Iterator[tuple[str, JsonValue]] = (
            iter(members(container)) if isinstance(container, dict) else (("", item) for item in container)
        )
        self._level = level
        self.count = 0
        self.key = ""
        self.value: JsonValue = None

    def advance(self) -> bool:
        """Moves to the next member; false at the end."""
        element = next(self._elements, None)
        if element is None:
            return False
        self.key, self.value = element
        self.count += 1
        return True

    def prefix(self) -> bytes:
        if self.is_object:
            return b": "
        return b", " if self.count > 1 else b""

    def key_prefix(self) -> bytes:
        return (b",\n" if self.count > 1 else b"\n") + b"    " * self._level

    def closing(self) -> bytes:
        if not self.is_object:
            return b"]"
        return (b"\n" + b"    " * (self._level - 1) if self.count else b"") + b"}"


def _scalar(value: bool | int | float | str | None) -> bytes | None:
    if isinstance(value, str):
        return quote(text_bytes(value))
    if isinstance(value, float):
        return _double(value) if math.isfinite(value) else None
    return orjson.dumps(value)


def _double(value: float) -> bytes:
    """The shortest digits, in plain notation for exponents from -6 to 20, as rapidjson writes a double."""
    sign, digits = ("-", repr(value)[1:]) if math.copysign(1.0, value) < 0 else ("", repr(value))
    mantissa, _, exponent = digits.partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)
    significant = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(significant)
    significant = significant.rstrip("0")
    if not significant:
        return f"{sign}0.0".encode()
    if 0 < point <= 21:
        text = significant.ljust(point, "0")
        text = f"{text[:point]}.{text[point:] or '0'}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{significant}"
    else:
        text = f"{significant[0]}{'.' if len(significant) > 1 else ''}{significant[1:]}e{point - 1}"
    return (sign + text).encode()
