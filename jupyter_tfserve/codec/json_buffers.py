"""Arrays of numbers from JSON text into buffers, without a Python object per number.

simdjson flattens an array without a look at its brackets, so the shape is read off the first-element path and then
proved. Few long lists are asked for their lengths, and the text must have no other bracket. Of many short ones the text
itself is the proof: with everything that numbers are made of deleted, a regular document leaves a skeleton of brackets
and commas that is known beforehand. Whatever does not match is left to the other readers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

JsonTree: TypeAlias = Any
"""A JSON value in which arrays of numbers may be numpy arrays of int64, uint64 or float64."""

MIN_BYTES_PER_ARRAY: Final = 1024
"""Below this mean size the cost of each numpy array outweighs what it saves (measured)."""

_DELETED: Final = b"0123456789.eE+- \t\r\n"
_MAX_LEVEL: Final = 3
"""root -> instances -> row -> input: nothing deeper than that holds an array that is bound."""

_MAX_MEMBERS: Final = 64
"""simdjson finds a member by going through all of them."""

_MAX_STRING: Final = 256
"""Copying a long string only to compare it again is not worth it; orjson takes those bodies."""

KEPT_PARSER_BYTES: Final = 4 * 2**20
"""A parser that has read no larger body is kept for the next one: the pages of its buffers (up to thirteen times the
body) are half of what parsing costs where they must be fetched from the system anew."""
_spare: Final[list[simdjson.Parser]] = []

_LONG: Final = 32
"""To ask a list for its length takes as long as deleting the digits of ten numbers."""
_KEPT_PATTERN_SIZE: Final = 2**18
"""A model's callers send the same shape again: the skeletons of the last ones up to so many numbers are kept."""

_KINDS: Final = (("i", np.int64), ("u", np.uint64), ("d", np.float64))
_AFTER_FLOAT: Final = _KINDS[2:]
"""What an array may be whose first number is none of the others: each kind that fails costs 5 µs."""


class _Irregular(Exception):
    """This document is not one that buffers can hold."""


def read_buffers(body: bytes) -> dict[str, JsonTree] | None:
    """The object in `body` with its arrays of numbers as numpy arrays, or None if it is not so simple.

    An array becomes int64 or uint64 if all its numbers are integer literals of that range, else float64.
    """
    # Threads may decode side by side, and each needs a parser of its own.
    parser = _spare.pop() if _spare else simdjson.Parser()
    budget = len(body) // MIN_BYTES_PER_ARRAY
    copier = _Copier(budget)
    try:
        tree = _copied(parser, body, copier)
    except (_Irregular, ValueError, RuntimeError):
        # Not kept: what the parser gave out may still be held by the error, and then it may not be used again.
        return None
    if len(body) <= KEPT_PARSER_BYTES and not _spare:
        _spare.append(parser)
    if tree is None or copier.array_budget == budget:
        return None
    # Without escapes names are what they look like, so nothing but brackets is left to prove.
    if copier.has_all_lengths and b"\\" not in body and _brackets(body) == copier.arrays:
        return tree
    return tree if _is_made_of(copier.skeleton, body.translate(None, _DELETED)) else None


def _copied(parser: simdjson.Parser, body: bytes, copier: _Copier) -> dict[str, JsonTree] | None:
    """The object in `body`; None if it is something else. Nothing that the parser gave out lives on."""
    root = parser.parse(body)
    if not isinstance(root, simdjson.Object):
        return None
    tree: dict[str, JsonTree] = copier.copy(root, 0)
    return tree


class _Copier:
    """Copies a simdjson document into a tree, and writes down the skeleton that its text must have.

    `has_all_lengths`: every list that was met has the length that its shape says; `arrays` is how many these were.
    """

    def __init__(self, array_budget: int) -> None:
        self.skeleton: list[bytes | tuple[int, ...]] = []
        self.array_budget = array_budget
        self.has_all_lengths = True
        self.arrays = 0

    def copy(self, value: Any, level: int) -> JsonTree:
        if isinstance(value, simdjson.Array):
            first = value[0] if len(value) else None
            if isinstance(first, simdjson.Object) and level < _MAX_LEVEL:
                return self._rows(value, level)
            return self._buffer(value)
        if isinstance(value, simdjson.Object):
            if level >= _MAX_LEVEL:
                raise _Irregular
            return self._object(value, level)
        if isinstance(value, str) and len(value) > _MAX_STRING:
            raise _Irregular
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            self.skeleton.append(orjson.dumps(value).translate(None, _DELETED))
        return value

    def _object(self, value: Any, level: int) -> dict[str, JsonTree]:
        tree: dict[str, JsonTree] = {}
        separator = b"{"
        if len(value) > _MAX_MEMBERS:
            raise _Irregular
        for key in value:
            if key in tree:
                raise _Irregular
            self.skeleton.append(separator + orjson.dumps(key).translate(None, _DELETED) + b":")
            tree[key] = self.copy(value[key], level + 1)
            separator = b","
        self.skeleton.append(b"}" if tree else b"{}")
        return tree

    def _rows(self, value: Any, level: int) -> list[JsonTree]:
        if len(value) > self.array_budget:
            raise _Irregular  # so many objects hold no large arrays: orjson is ten times as quick with them
        self.arrays += 1
        rows: list[JsonTree] = []
        separator = b"["
        for item in value:
            if not isinstance(item, simdjson.Object):
                raise _Irregular
            self.skeleton.append(separator)
            rows.append(self.copy(item, level + 1))
            separator = b","
        self.skeleton.append(b"]")
        return rows

    def _buffer(self, value: Any) -> NDArray[Any]:
        self.array_budget -= 1
        if self.array_budget < 0:
            raise _Irregular
        shape, first = _shape(value)
        numbers = _numbers(value, _AFTER_FLOAT if type(first) is float else _KINDS)
        # The product first: a short text can claim a shape whose skeleton would fill the memory.
        if math.prod(shape) != numbers.size:
            raise _Irregular
        if shape[-1] < _LONG:
            self.has_all_lengths = False
        else:
            self.arrays += _lists(value, shape)
        self.skeleton.append(tuple(shape))
        return numbers.reshape(shape)


def _pattern(shape: tuple[int, ...]) -> bytes:
    """The brackets and commas of an array."""
    pattern = b""
    for size in reversed(shape):
        pattern = b"[" + (pattern + b",") * (size - 1) + pattern + b"]"
    return pattern


_kept_pattern = lru_cache(maxsize=4)(_pattern)


def _is_made_of(parts: Sequence[bytes | tuple[int, ...]], text: bytes) -> bool:
    """Whether the text is these parts, one after another; a shape stands for the skeleton of its array."""
    end = 0
    for part in parts:
        expected = _skeleton(part) if isinstance(part, tuple) else part
        if not text.startswith(expected, end):
            return False
        end += len(expected)
    return end == len(text)


def _skeleton(shape: tuple[int, ...]) -> bytes:
    """The pattern, kept unless it is large."""
    return _kept_pattern(shape) if math.prod(shape) <= _KEPT_PATTERN_SIZE else _pattern(shape)


def _brackets(body: bytes) -> int:
    """How many brackets open in the text; `bytes.count` would take twenty times as long."""
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord("[")))


def _lists(value: Any, shape: Sequence[int]) -> int:
    """How many lists there are in one of that shape, itself included. Elements of the last level may be anything."""
    if len(value) != shape[0]:
        raise _Irregular
    if len(shape) == 1:
        return 1
    if len(shape) == 2:
        size = shape[1]
        for row in value:
            if type(row) is not simdjson.Array or len(row) != size:
                raise _Irregular
        return 1 + shape[0]
    inner, count = shape[1:], 1
    for each in value:
        if type(each) is not simdjson.Array:
            raise _Irregular
        count += _lists(each, inner)
    return count


def _shape(value: Any) -> tuple[list[int], Any]:
    """The shape along first elements, and the first of all."""
    shape = []
    while isinstance(value, simdjson.Array):
        shape.append(len(value))
        if shape[-1] == 0 or len(shape) > 32:
            raise _Irregular
        value = value[0]
    return shape, value


def _numbers(value: Any, kinds: Sequence[tuple[str, Any]]) -> NDArray[Any]:
    for kind, dtype in kinds:
        try:
            return np.frombuffer(value.as_buffer(of_type=kind), dtype)
        except (TypeError, ValueError):  # noqa: PERF203 - three kinds, tried in turn
            continue
    raise _Irregular
