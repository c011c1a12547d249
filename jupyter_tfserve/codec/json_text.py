"""TensorFlow Serving's JSON parser: what it accepts, and its error texts with their byte offsets.

It alone words the errors of a JSON body; `json_reader` is the quick way for bodies that any parser accepts.
The rules are rapidjson's with NaN and infinities allowed: a byte order mark is skipped, a NUL ends the text,
whatever follows the first value is ignored, no nesting is too deep for the stack.
"""

from __future__ import annotations

import math
import re
from typing import Final

import orjson

from jupyter_tfserve.codec.json_debug import debug_text
from jupyter_tfserve.codec.json_values import JsonValue, RepeatedMembers
from jupyter_tfserve.errors import ServingError, invalid_argument

__all__ = ["MAX_DEPTH", "JsonValue", "debug_text", "parse_json"]

MAX_DEPTH: Final = 1_000_000

_BOM: Final = b"\xef\xbb\xbf"
_SPACES: Final = frozenset([b" ", b"\t", b"\r", b"\n"])
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NON_FINITE: Final = re.compile(rb"-?(?:NaN|Inf(?:inity)?)")
_FLAT_ARRAY: Final = re.compile(rb"\[[0-9.,eE+\- \t\r\nNaInfity]+\]")
"""An array of nothing but numbers, and of little else that is JSON at all; orjson decides."""
_PLAIN_STRING: Final = re.compile(rb'"([^"\\\x00-\x1f]*)"')
_PLAIN_NAME: Final = re.compile(rb'[ \t\r\n]*"([^"\\\x00-\x1f]*)"[ \t\r\n]*:')
_STRING_STOP: Final = re.compile(
    rb'(["\x00-\x1f])'
    rb"|\\u([dD][89abAB][0-9a-fA-F]{2})(?:(\\u)([0-9a-fA-F]{4})?)?"
    rb"|\\u([0-9a-fA-F]{4})"
    rb"|\\([\s\S]?)"
)
"""Where a string ends or has an escape: the end, a pair of surrogates, any other `\\u`, a short escape."""
_SHORT_ESCAPES: Final = dict(
    zip(
        [b'"', b"\\", b"/", b"b", b"f", b"n", b"r", b"t"],
        [b'"', b"\\", b"/", b"\b", b"\f", b"\n", b"\r", b"\t"],
        strict=True,
    )
)
_LITERALS: Final = {b"t": (b"true", True), b"f": (b"false", False), b"n": (b"null", None)}
_FINITE_EXPONENT: Final = 308
_SIGNIFICANT_DIGITS: Final = 17


def parse_json(body: bytes, max_depth: int = MAX_DEPTH) -> JsonValue:
    """The first JSON value of `body`; INVALID_ARGUMENT with TensorFlow Serving's text if there is none.

    Integer literals from -2**63 to 2**64-1 are `int`, every other number is `float`. More than `max_depth`
    open brackets are INVALID_ARGUMENT too.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    end = body.find(b"\0")
    return _Parser(body if end < 0 else body[:end], max_depth).parse()


class _Parser:
    """One pass over a text. `_open` holds the containers around the cursor, outermost first."""

    __slots__ = ("_keys", "_max_depth", "_open", "_position", "_text")

    def __init__(self, text: bytes, max_depth: int) -> None:
        self._text = text
        self._position = len(_BOM) if text.startswith(_BOM) else 0
        self._max_depth = max_depth
        self._open: list[list[JsonValue] | list[tuple[str, JsonValue]]] = []
        self._keys: list[str | None] = []
        """The member that each open container waits for; None for an array."""

    def parse(self) -> JsonValue:
        if self._peek() in (b"", b"]", b"}", b",", b":"):
            raise self._error("The document is empty.")
        while True:
            value, is_complete = self._value()
            while is_complete:
                if not self._open:
                    return value
                value, is_complete = self._attach(value)

    def _peek(self) -> bytes:
        """The next byte that is not white space, empty at the end."""
        byte = self._text[self._position : self._position + 1]
        if byte not in _SPACES:
            return byte
        match = _SPACE.match(self._text, self._position)
        if match is not None:
            self._position = match.end()
        return self._text[self._position : self._position + 1]

    def _error(self, text: str, position: int | None = None) -> ServingError:
        offset = self._position if position is None else position
        return invalid_argument(f"JSON Parse error: {text} at offset: {offset}")

    def _value(self) -> tuple[JsonValue, bool]:
        """Reads a value, or opens a container that is not empty (false: its first value comes next)."""
        byte = self._peek()
        if byte == b"[":
            return self._open_array()
        if byte == b"{":
            return self._open_object()
        if byte == b'"':
            return self._string(), True
        if byte in _LITERALS:
            return self._literal(*_LITERALS[byte]), True
        return self._number(), True

    def _open_array(self) -> tuple[JsonValue, bool]:
        flat = self._flat_array()
        if flat is not None:
            return flat, True
        self._enter(None)
        if self._peek() == b"]":
            return self._close()
        return None, False

    def _flat_array(self) -> list[JsonValue] | None:
        """An array of numbers in one step, or None: orjson reads it, NaN and infinities go in afterwards."""
        match = _FLAT_ARRAY.match(self._text, self._position)
        if match is None or len(self._open) >= self._max_depth:
            return None
        text, tokens = match[0], []
        if b"N" in text or b"I" in text:
            tokens = [float(token) for token in _NON_FINITE.findall(text)]
            text = _NON_FINITE.sub(b"null", text)
        try:
            values: list[JsonValue] = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        self._position = match.end()
        if tokens:
            following = iter(tokens)
            values = [next(following) if value is None else value for value in values]
        return values

    def _open_object(self) -> tuple[JsonValue, bool]:
        self._enter("")
        if self._peek() == b"}":
            return self._close()
        self._member_name()
        return None, False

    def _enter(self, key: str | None) -> None:
        if len(self._open) >= self._max_depth:
            raise self._error(f"Nested deeper than max_json_depth ({self._max_depth})")
        self._position += 1
        self._open.append([])
        self._keys.append(key)

    def _close(self) -> tuple[JsonValue, bool]:
        self._position += 1
        container = self._open.pop()
        if self._keys.pop() is None:
            return container, True  # type: ignore[return-value]
        pairs: list[tuple[str, JsonValue]] = container  # type: ignore[assignment]
        value = dict(pairs)
        return (value if len(value) == len(pairs) else RepeatedMembers(pairs)), True

    def _member_name(self) -> None:
        match = _PLAIN_NAME.match(self._text, self._position)
        if match is not None:
            self._keys[-1] = match[1].decode("utf-8", "surrogateescape")
            self._position = match.end()
            return
        if self._peek() != b'"':
            raise self._error("Missing a name for object member.")
        self._keys[-1] = self._string()
        if self._peek() != b":":
            raise self._error("Missing a colon after a name of object member.")
        self._position += 1

    def _attach(self, value: JsonValue) -> tuple[JsonValue, bool]:
        """Puts a value into its container and reads what follows: a comma, or the container's end."""
        key = self._keys[-1]
        self._open[-1].append(value if key is None else (key, value))  # type: ignore[arg-type]
        byte = self._peek()
        if byte == b",":
            self._position += 1
            if key is not None:
                self._member_name()
            return None, False
        if byte == (b"]" if key is None else b"}"):
            return self._close()
        raise self._error(
            "Missing a comma or ']' after an array element."
            if key is None
            else "Missing a comma or '}' after an object member."
        )

    def _literal(self, text: bytes, value: bool | None) -> bool | None:
        if not self._text.startswith(text, self._position):
            raise self._error("Invalid value.", self._position + self._common_prefix(text, self._position))
        self._position += len(text)
        return value

    def _common_prefix(self, expected: bytes, start: int) -> int:
        """How many bytes from `start` on are as `expected`; rapidjson points at the first that is not."""
        found = self._text[start : start + len(expected)]
        return next(length for length in range(len(found), -1, -1) if expected.startswith(found[:length]))

    def _number(self) -> int | float:
        match = _NUMBER.match(self._text, self._position)
        if match is None:
            return self._non_finite()
        start, self._position = self._position, match.end()
        fraction, exponent = match.groups()
        following = self._text[self._position : self._position + 1]
        if following == b"." and fraction is None and exponent is None:
            raise self._error("Miss fraction part in number.", self._position + 1)
        if following and following in b"eE" and exponent is None:
            sign = self._text[self._position + 1 : self._position + 2]
            raise self._error(
                "Miss exponent in number.", self._position + (2 if sign and sign in b"+-" else 1)
            )
        if fraction is None and exponent is None:
            return self._integer(match[0], start)
        value = float(match[0])
        if math.isinf(value) and _is_too_big(exponent, fraction):
            raise self._error("Number too big to be stored in double.", start)
        return value

    def _integer(self, text: bytes, start: int) -> int | float:
        if len(text) > 20:
            value = float(text)
            if math.isinf(value):
                raise self._error("Number too big to be stored in double.", start)
            return value
        integer = int(text)
        return integer if -(2**63) <= integer < 2**64 else float(text)

    def _non_finite(self) -> float:
        start = self._position
        match = _NON_FINITE.match(self._text, start)
        if match is None:
            sign = 1 if self._text.startswith(b"-", start) else 0
            prefixes = (self._common_prefix(word, start + sign) for word in (b"NaN", b"Inf"))
            raise self._error("Invalid value.", start + sign + max(prefixes))
        self._position = match.end()
        if self._text.startswith(b"i", self._position):
            raise self._error(
                "Invalid value.", self._position + self._common_prefix(b"inity", self._position)
            )
        return float(match[0])

    def _string(self) -> str:
        match = _PLAIN_STRING.match(self._text, self._position)
        if match is None:
            return self._escaped_string()
        self._position = match.end()
        return match[1].decode("utf-8", "surrogateescape")

    def _escaped_string(self) -> str:
        parts: list[bytes] = []
        copied = self._position + 1
        for stop in _STRING_STOP.finditer(self._text, copied):
            parts.append(self._text[copied : stop.start()])
            copied = stop.end()
            if stop[1] == b'"':
                self._position = copied
                return b"".join(parts).decode("utf-8", "surrogateescape")
            parts.append(self._escape(stop))
        raise self._error("Missing a closing quotation mark in string.", len(self._text))

    def _escape(self, stop: re.Match[bytes]) -> bytes:
        """The bytes that an escape stands for."""
        control, high, pair, low, code, short = stop.groups()
        start = stop.start()
        if control is not None:
            raise self._error("Invalid escape character in string.", start)
        if high is not None:
            if pair is not None and low is None:
                raise self._error("Incorrect hex digit after \\u escape in string.", start)
            if low is None or not 0xDC00 <= int(low, 16) <= 0xDFFF:
                raise self._error("The surrogate pair in string is invalid.", start)
            return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00).encode()
        if code is not None:
            return chr(int(code, 16)).encode("utf-8", "surrogatepass")
        if short == b"u":
            raise self._error("Incorrect hex digit after \\u escape in string.", start)
        if short not in _SHORT_ESCAPES:
            raise self._error("Invalid escape character in string.", start)
        return _SHORT_ESCAPES[short]


def _is_too_big(exponent: bytes | None, fraction: bytes | None) -> bool:
    """Whether rapidjson refuses an infinite decimal; by its exponent alone: `10e308` may pass."""
    decimals = min(len(fraction) - 1, _SIGNIFICANT_DIGITS) if fraction is not None else 0
    return exponent is None or float(exponent[1:]) > _FINITE_EXPONENT + decimals
