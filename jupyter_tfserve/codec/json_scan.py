"""JSON's scalars in a text: numbers, strings and literals, each with the place where it ends.

`json_text` calls these where a value begins. What rapidjson would say about a malformed scalar, and at which
byte, is decided here.
"""

from __future__ import annotations

import math
import re
from typing import Final

from jupyter_tfserve.errors import ServingError, invalid_argument

NON_FINITE: Final = re.compile(rb"-?(?:NaN|Inf(?:inity)?)")

_LITERALS: Final = {b"t": (b"true", True), b"f": (b"false", False), b"n": (b"null", None)}
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_PLAIN_STRING: Final = re.compile(rb'"([^"\\\x00-\x1f]*)"')
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
_FINITE_EXPONENT: Final = 308
_SIGNIFICANT_DIGITS: Final = 17
_LONGEST_INTEGER: Final = 20


def parse_error(text: str, offset: int) -> ServingError:
    """The error for a body that is no JSON from byte `offset` on."""
    return invalid_argument(f"JSON Parse error: {text} at offset: {offset}")


def scan_scalar(text: bytes, start: int, first: bytes) -> tuple[bool | int | float | str | None, int]:
    """The scalar that begins at `start` with the byte `first`, and where it ends.

    Integer literals from -2**63 to 2**64-1 are `int`, every other number is `float`.
    """
    if first == b'"':
        return scan_string(text, start)
    if first in _LITERALS:
        return _literal(text, start, *_LITERALS[first])
    match = _NUMBER.match(text, start)
    return _non_finite(text, start) if match is None else _number(text, match)


def scan_string(text: bytes, start: int) -> tuple[str, int]:
    """The string that begins at `start` with its quotation mark. Bytes that are no UTF-8 are surrogates."""
    match = _PLAIN_STRING.match(text, start)
    if match is not None:
        return match[1].decode("utf-8", "surrogateescape"), match.end()
    parts: list[bytes] = []
    copied = start + 1
    for stop in _STRING_STOP.finditer(text, copied):
        parts.append(text[copied : stop.start()])
        copied = stop.end()
        if stop[1] == b'"':
            return b"".join(parts).decode("utf-8", "surrogateescape"), copied
        parts.append(_escape(stop))
    raise parse_error("Missing a closing quotation mark in string.", len(text))


def _literal(text: bytes, start: int, word: bytes, value: bool | None) -> tuple[bool | None, int]:
    if not text.startswith(word, start):
        raise parse_error("Invalid value.", _first_difference(text, start, word))
    return value, start + len(word)


def _first_difference(text: bytes, start: int, word: bytes) -> int:
    """Where `text` stops to be `word`; rapidjson points there."""
    found = text[start : start + len(word)]
    return start + next(length for length in range(len(found), -1, -1) if word.startswith(found[:length]))


def _number(text: bytes, match: re.Match[bytes]) -> tuple[int | float, int]:
    fraction, exponent = match.groups()
    end = match.end()
    following = text[end : end + 1]
    if following == b"." and fraction is None and exponent is None:
        raise parse_error("Miss fraction part in number.", end + 1)
    if following in (b"e", b"E") and exponent is None:
        raise parse_error(
            "Miss exponent in number.", end + (2 if text[end + 1 : end + 2] in (b"+", b"-") else 1)
        )
    if fraction is None and exponent is None and len(match[0]) <= _LONGEST_INTEGER:
        integer = int(match[0])
        if -(2**63) <= integer < 2**64:
            return integer, end
    value = float(match[0])
    if math.isinf(value) and _is_too_big(exponent, fraction):
        raise parse_error("Number too big to be stored in double.", match.start())
    return value, end


def _is_too_big(exponent: bytes | None, fraction: bytes | None) -> bool:
    """Whether rapidjson refuses an infinite decimal; by its exponent alone: `10e308` may pass."""
    decimals = min(len(fraction) - 1, _SIGNIFICANT_DIGITS) if fraction is not None else 0
    return exponent is None or float(exponent[1:]) > _FINITE_EXPONENT + decimals


def _non_finite(text: bytes, start: int) -> tuple[float, int]:
    match = NON_FINITE.match(text, start)
    if match is None:
        digits = start + 1 if text.startswith(b"-", start) else start
        raise parse_error(
            "Invalid value.", max(_first_difference(text, digits, word) for word in (b"NaN", b"Inf"))
        )
    if text.startswith(b"i", match.end()):
        raise parse_error("Invalid value.", _first_difference(text, match.end(), b"inity"))
    return float(match[0]), match.end()


def _escape(stop: re.Match[bytes]) -> bytes:
    """The bytes that an escape stands for."""
    control, high, pair, low, code, short = stop.groups()
    start = stop.start()
    if control is not None:
        raise parse_error("Invalid escape character in string.", start)
    if high is not None:
        if pair is not None and low is None:
            raise parse_error("Incorrect hex digit after \\u escape in string.", start)
        if low is None or not 0xDC00 <= int(low, 16) <= 0xDFFF:
            raise parse_error("The surrogate pair in string is invalid.", start)
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00).encode()
    if code is not None:
        return chr(int(code, 16)).encode("utf-8", "surrogatepass")
    if short == b"u":
        raise parse_error("Incorrect hex digit after \\u escape in string.", start)
    if short not in _SHORT_ESCAPES:
        raise parse_error("Invalid escape character in string.", start)
    return _SHORT_ESCAPES[short]
