"""TensorFlow Serving's JSON parser: what it accepts, and its error texts with their byte offsets.

It alone words the errors of a JSON body; `json_reader` is the quick way for bodies that any parser accepts.
The rules are rapidjson's with NaN and infinities allowed: a byte order mark is skipped, a NUL ends the text,
whatever follows the first value is ignored, no nesting is too deep for the stack.
"""

from __future__ import annotations

import re
from typing import Final

import orjson

from jupyter_tfserve.codec.json_debug import debug_text
from jupyter_tfserve.codec.json_scan import NON_FINITE, parse_error, scan_scalar, scan_string
from jupyter_tfserve.codec.json_values import JsonValue, RepeatedMembers
from jupyter_tfserve.errors import invalid_argument

__all__ = ["MAX_DEPTH", "JsonValue", "debug_text", "parse_json"]

MAX_DEPTH: Final = 1_000_000

_BOM: Final = b"\xef\xbb\xbf"
_SPACES: Final = frozenset([b" ", b"\t", b"\r", b"\n"])
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_FLAT_ARRAY: Final = re.compile(rb"\[[0-9.,eE+\- \t\r\nNaInfity]+\]")
"""An array of nothing but numbers, and of little else that is JSON at all; orjson decides."""
_PLAIN_NAME: Final = re.compile(rb'[ \t\r\n]*"([^"\\\x00-\x1f]*)"[ \t\r\n]*:')


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
            raise parse_error("The document is empty.", self._position)
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

    def _value(self) -> tuple[JsonValue, bool]:
        """Reads a value, or opens a container that is not empty (false: its first value comes next)."""
        byte = self._peek()
        if byte == b"[":
            return self._open_array()
        if byte == b"{":
            return self._open_object()
        value, self._position = scan_scalar(self._text, self._position, byte)
        return value, True

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
            tokens = [float(token) for token in NON_FINITE.findall(text)]
            text = NON_FINITE.sub(b"null", text)
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
            raise parse_error(f"Nested deeper than max_json_depth ({self._max_depth})", self._position)
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
            raise parse_error("Missing a name for object member.", self._position)
        self._keys[-1], self._position = scan_string(self._text, self._position)
        if self._peek() != b":":
            raise parse_error("Missing a colon after a name of object member.", self._position)
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
        if key is None:
            raise parse_error("Missing a comma or ']' after an array element.", self._position)
        raise parse_error("Missing a comma or '}' after an object member.", self._position)
