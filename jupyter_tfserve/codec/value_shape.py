"""The shape and the kind of a value of a request, be it an array, nested lists or one number. Pure, and bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final, TypeAlias

import numpy as np

Shape: TypeAlias = "tuple[int, ...]"

MAX_LISTS: Final = 10_000
"""So many lists of one request are looked at (14 ms); what comes after is taken for right."""
MAX_LEVELS: Final = 64
_SCALAR_KINDS: Final[Mapping[type, str]] = {
    bool: "b",
    int: "i",
    float: "f",
    str: "O",
    bytes: "O",
    NoneType: "?",
}
_ONLY_SCALARS: Final = frozenset(_SCALAR_KINDS)


@dataclass(frozen=True, slots=True)
class Value:
    """What one value looks like. `kind` is numpy's, "?" when it holds several or nulls, empty when unknown.

    `problem` tells why it has no shape; `dtype` is TensorFlow's name where the value is a tensor that has one.
    """

    shape: Shape | None
    kind: str
    problem: str = ""
    dtype: str = ""


_UNKNOWN: Final = Value(None, "")


class Budget:
    """How many lists may still be looked at."""

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_LISTS) -> None:
        self.left = left


def look(value: object, budget: Budget | None = None, level: int = 0) -> Value:
    """Shape and kind of `value`; walks nested lists as far as `budget` goes. A `Value` is what it says."""
    if isinstance(value, Value):
        return value
    if is_b64(value):
        return Value((), "O")
    if isinstance(value, list | tuple):
        return _look_at_list(value, budget or Budget(), level)
    known = _SCALAR_KINDS.get(type(value))
    if known is not None:
        return Value((), known)
    if isinstance(value, Mapping):
        return Value(None, "", "an object")
    array = np.asarray(value)
    kind = "O" if array.dtype.kind in "USTO" else array.dtype.kind
    return Value(array.shape, kind if array.size else "")


def _look_at_list(values: list[Any] | tuple[Any, ...], budget: Budget, level: int) -> Value:
    budget.left -= 1
    if budget.left < 0 or level > MAX_LEVELS:
        return _UNKNOWN
    if not values:
        return Value((0,), "")
    types = set(map(type, values))
    if types <= _ONLY_SCALARS:
        return Value((len(values),), _joint_kind({_SCALAR_KINDS[each] for each in types}))
    parts = []
    for item in values:
        if budget.left <= 0:
            break
        parts.append(look(item, budget, level + 1))
    problem = next((part.problem for part in parts if part.problem), "")
    shapes = list(dict.fromkeys(part.shape for part in parts if part.shape is not None))
    if not problem and len(shapes) > 1:
        problem = f"rows of shapes {describe_shape(shapes[0])} and {describe_shape(shapes[1])}"
    kind = _joint_kind({part.kind for part in parts if part.kind})
    return Value((len(values), *shapes[0]) if shapes and not problem else None, kind, problem)


def _joint_kind(kinds: set[str]) -> str:
    if len(kinds) > 1 and kinds <= set("fiu"):
        # Whole numbers among fractions are fractions.
        return "f" if "f" in kinds else "i"
    return "?" if len(kinds) > 1 else "".join(kinds)


def is_b64(value: object) -> bool:
    """Whether it is JSON's way to write bytes."""
    return isinstance(value, Mapping) and value.keys() == {"b64"}


def shape_fits(came: Shape | None, wanted: Shape | None) -> bool:
    """Whether a value of shape `came` may stand where `wanted` is; None is any shape, -1 any size."""
    if wanted is None or came is None:
        return True
    return len(came) == len(wanted) and all(w in (-1, c) for c, w in zip(came, wanted, strict=True))


def describe_shape(shape: Shape | None) -> str:
    """`[?,28,28,1]`; `[…]` for an unknown rank."""
    if shape is None:
        return "[…]"
    return "[" + ",".join("?" if size < 0 else str(size) for size in shape) + "]"
