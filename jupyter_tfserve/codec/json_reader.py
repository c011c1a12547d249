"""The quick way from a JSON body to a document; the first step of the codec for every REST request.

Three readers, one result: large bodies of numbers go through simdjson straight into buffers, other bodies
through orjson, and whatever these two cannot take exactly as TensorFlow Serving does (errors, NaN, repeated
names, text after the value) through `json_text`. A body's meaning never depends on which one read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import Final, cast

import orjson

from jupyter_tfserve.codec.json_buffers import JsonTree, read_buffers
from jupyter_tfserve.codec.json_text import parse_json
from jupyter_tfserve.codec.json_values import JsonObject, JsonValue

BUFFER_BYTES: Final = 1024
"""Bodies from this size on are tried with simdjson first; below it, 100 numbers, orjson and lists are as quick."""
_UNSEEN_BYTES: Final = 8192
_FEW_QUOTES: Final = 12
"""Below `_UNSEEN_BYTES` the trial is only made if there is hardly a name or a string; it is not for nothing then."""

_CONTAINERS: Final = frozenset({list, dict})
_ORJSON_DEPTH: Final = 1024
_MEMBER: Final = re.compile(rb'"[ \t\r\n]*:')


@dataclass(slots=True)  # not frozen: every request makes one, and freezing triples what that costs
class JsonDocument:
    """A body and its value. In `tree`, arrays of numbers may be numpy arrays where `has_buffers`."""

    body: bytes
    tree: JsonTree
    has_buffers: bool
    max_depth: int

    def value(self) -> JsonValue:
        """The value without numpy arrays, as the exact parser reads it; error texts quote this one."""
        return parse_json(self.body, self.max_depth) if self.has_buffers else self.tree


def read_large(body: bytes, max_depth: int) -> JsonDocument | None:
    """The document in `body` if it is plain JSON whose arrays of numbers buffers can hold, else None.

    Takes 2 ms for each megabyte, whatever the body; any other way to read it may take fifty times as long.
    """
    if max_depth <= _ORJSON_DEPTH and not _is_shallow(body, max_depth):
        return None
    tree = read_buffers(body)
    return None if tree is None else JsonDocument(body, tree, True, max_depth)


def _is_shallow(body: bytes, max_depth: int) -> bool:
    return body.count(b"[") + body.count(b"{") <= max_depth


def read_json(body: bytes, max_depth: int) -> JsonDocument:
    """The document in `body`; INVALID_ARGUMENT with TensorFlow Serving's text if it does not parse."""
    size = len(body)
    if size >= BUFFER_BYTES and (size >= _UNSEEN_BYTES or body.count(b'"') <= _FEW_QUOTES):
        document = read_large(body, max_depth)
        if document is not None:
            return document
    return read_plain(body, max_depth)


def read_plain(body: bytes, max_depth: int) -> JsonDocument:
    """The same without buffers, where each number keeps its own type."""
    if max_depth > _ORJSON_DEPTH or _is_shallow(body, max_depth):
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            return JsonDocument(body, parse_json(body, max_depth), False, max_depth)
        colons = body.count(b":")
        if type(value) is dict and (colons == len(value) or _has_every_member(body, value, colons)):
            return JsonDocument(body, value, False, max_depth)
    return JsonDocument(body, parse_json(body, max_depth), False, max_depth)


def _has_every_member(body: bytes, root: JsonValue, colons: int) -> bool:
    """Whether no name was repeated: orjson keeps the last of equal names and does not tell.

    Counting colons, or `":`, in the text can only count too many (inside strings), never too few.
    """
    count = 0
    pending = [root]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            count += len(value)
            pending.extend(item for item in value.values() if isinstance(item, (list, dict)))
        elif isinstance(value, list) and value and isinstance(value[0], (list, dict)):
            # A list that begins with a scalar may still hold objects: then the count is short, and the
            # exact parser decides.
            if set(map(type, value)) == {dict}:
                rows = cast("list[JsonObject]", value)
                count += sum(map(len, rows))
                items = chain.from_iterable(map(dict.values, rows))
                pending.extend([item for item in items if type(item) in _CONTAINERS])
            else:
                pending.extend(value)
    return colons == count or len(_MEMBER.findall(body)) == count
