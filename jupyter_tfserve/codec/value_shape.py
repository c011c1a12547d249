"""The shape and the kind of a value of a request, be it an array, nested lists or one number. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Shape: TypeAlias = "tuple[int, ...]"


@dataclass(frozen=True, slots=True)
class Value:
    """What one value looks like. `kind` is numpy's, "?" when it holds several or nulls, empty when unknown.

    `problem` tells why it has no shape.
    """

    shape: Shape | None
    kind: str
    problem: str = ""


def look(value: object) -> Value:
    """Shape and kind of `value`; walks nested lists."""
    if isinstance(value, bytes | str) or is_b64(value):
        return Value((), "O")
    if isinstance(value, list | tuple):
        return _look_at_list(value)
    if value is None:
        return Value((), "?")
    array = np.asarray(value)
    kind = "O" if array.dtype.kind in "USTO" else array.dtype.kind
    return Value(array.shape, kind if array.size else "")


def _look_at_list(values: list[Any] | tuple[Any, ...]) -> Value:
    if not values:
        return Value((0,), "")
    parts = [look(item) for item in values]
    problem = next((part.problem for part in parts if part.problem), "")
    shapes = dict.fromkeys(part.shape for part in parts)
    if not problem and len(shapes) > 1:
        first, second = list(shapes)[:2]
        problem = f"rows of shapes {describe_shape(first)} and {describe_shape(second)}"
    kinds = {part.kind for part in parts if part.kind}
    if len(kinds) > 1 and kinds <= set("fiu"):
        # Whole numbers among fractions are fractions.
        kinds = {"f" if "f" in kinds else "i"}
    kind = "".join(kinds)
    shape = parts[0].shape
    return Value(None if shape is None else (len(values), *shape), kind if len(kind) < 2 else "?", problem)


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
