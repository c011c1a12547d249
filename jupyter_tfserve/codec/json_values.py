"""JSON values as the codec holds them, and the questions that every JSON step asks of one.

A JSON document is plain Python: `None`, `bool`, `int`, `float`, `str`, `list`, `dict`. Two things differ from
`json.loads`: strings keep bytes that are no UTF-8 as lone surrogates (`surrogateescape`): `text_bytes` gives
back what was sent; and an object that repeats a name is a `RepeatedMembers`.
"""

from __future__ import annotations

import binascii
import string
from collections.abc import Iterable
from typing import Final, TypeAlias

from jupyter_tfserve.errors import invalid_argument

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]


class RepeatedMembers(dict[str, JsonValue]):
    """An object with a repeated name. As a dict the first value wins; `pairs` has every member in order."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, JsonValue]]) -> None:
        super().__init__()
        self.pairs = pairs
        for name, value in pairs:
            self.setdefault(name, value)


def members(value: JsonObject) -> Iterable[tuple[str, JsonValue]]:
    """Every member in the order of the text, repeated names included."""
    return value.pairs if isinstance(value, RepeatedMembers) else value.items()


def member_count(value: JsonObject) -> int:
    """How many members the text has, repeated names included."""
    return len(value.pairs) if isinstance(value, RepeatedMembers) else len(value)


def type_name(value: JsonValue) -> str:
    """The type as error texts spell it: Null, False, True, Object, Array, String or Number."""
    if value is None or isinstance(value, bool):
        return {None: "Null", False: "False", True: "True"}[value]
    if isinstance(value, dict):
        return "Object"
    if isinstance(value, list):
        return "Array"
    return "String" if isinstance(value, str) else "Number"


def text_bytes(text: str) -> bytes:
    """The bytes of a JSON string as they were sent, after escapes."""
    return text.encode("utf-8", "surrogateescape")


def is_base64(value: JsonValue) -> bool:
    """Whether this is `{"b64": "<string>"}`: an object of exactly that one member."""
    return isinstance(value, dict) and member_count(value) == 1 and isinstance(value.get("b64"), str)


_SPACE: Final = b" \t\n\v\f\r"
_BASE64_DIGITS: Final = (string.ascii_letters + string.digits + "+/").encode()


def decode_base64(text: str) -> bytes:
    """The bytes behind standard base64; padding is optional, white space is skipped.

    INVALID_ARGUMENT for any other character and for a length that no bytes have.
    """
    # Deleting bytes is three times as quick as a regular expression, and an image is a megabyte of this.
    encoded = text_bytes(text)
    rest = encoded.translate(None, _BASE64_DIGITS)
    if rest.strip(b"="):
        encoded = encoded.translate(None, _SPACE)
        rest = encoded.translate(None, _BASE64_DIGITS)
    missing = -(len(encoded) - len(rest)) % 4
    if missing == 3 or rest not in (b"", b"=" * missing) or not encoded.endswith(rest):
        raise invalid_argument("Unable to base64 decode")
    return binascii.a2b_base64(encoded if len(rest) == missing else encoded + b"=" * missing)
