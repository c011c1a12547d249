"""The line that makes a value what a signature wants, where there is one that surely does. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.value_shape import Shape, Value, look, shape_fits

MAX_TRIED: Final = 20_000
"""Of so many values at most it is found out whether they can be converted."""
WANTED_NAMES: Final[Mapping[str, str]] = {
    "f": "numbers",
    "i": "whole numbers",
    "u": "whole numbers that are not negative",
    "b": "booleans",
    "O": "strings",
}


def numpy_name(dtype: str) -> str:
    """numpy's name, which the user's own arrays show; TensorFlow says `float` for it."""
    known = DTYPES.get(dtype)
    return dtype if known is None or dtype == "string" else str(known.numpy)


def shape_fix(came: Shape | None, wanted: Shape | None, source: str, is_row: bool) -> str:
    """The expression that gives the rows the wanted shape, if one is plain. `is_row`: the shapes are one row's."""
    if came is None or wanted is None or not source:
        return ""
    candidates = [(f"np.expand_dims({source}, -1)", (*came, 1))]
    if not is_row:
        candidates.append((f"[{source}]", (1, *came)))
    if came[-1:] == (1,):
        candidates.append((f"np.squeeze({source}, -1)", came[:-1]))
    if came[:1] == (1,):
        candidates.append((f"np.squeeze({source}, {int(is_row)})", came[1:]))
    inner, own = (wanted, came) if is_row else (wanted[1:], came[1:])
    if inner and all(size > 0 for size in inner) and math.prod(inner) == math.prod(own):
        sizes = ", ".join(str(size) for size in (-1, *inner))
        candidates.append((f"np.reshape({source}, ({sizes}))", wanted))
    elif not is_row and inner and _long_sides(came) == _long_sides(inner):
        # One row that lacks both its outer brackets and a side of length 1.
        sizes = ", ".join(str(size) for size in (1, *inner))
        candidates.append((f"np.reshape({source}, ({sizes}))", (1, *inner)))
    return next((text for text, shape in candidates if shape_fits(shape, wanted)), "")


def _long_sides(shape: Shape) -> list[int]:
    return [size for size in shape if size != 1]


def lone_row_fix(came: Shape | None, wanted: Shape | None, place: str) -> str:
    """The assignment that mends one row among others, `place`, if one is plain; the shapes are the row's own."""
    if came is None or wanted is None:
        return ""
    candidates = [(f"np.expand_dims({place}, -1)", (*came, 1))]
    if came[-1:] == (1,):
        candidates.append((f"np.squeeze({place}, -1)", came[:-1]))
    if came[:1] == (1,):
        candidates.append((f"np.squeeze({place}, 0)", came[1:]))
    if wanted and all(size > 0 for size in wanted) and math.prod(wanted) == math.prod(came):
        sizes = ", ".join(str(size) for size in wanted)
        candidates.append((f"np.reshape({place}, ({sizes}{',' if len(wanted) == 1 else ''}))", wanted))
    fix = next((text for text, shape in candidates if shape_fits(shape, wanted)), "")
    return fix and f"{place} = {fix}"


def kind_fix(value: object, dtype: str, source: str) -> str:
    """The conversion of all of `value`, which is called `source`; if it would fail, what to send instead."""
    known = DTYPES.get(dtype)
    if source and known is not None:
        seen = look(value)
        if dtype == "string":
            if seen.shape is not None and seen.kind not in "?O":
                return f"np.asarray({source}).astype(str).tolist()"
        elif _can_be(value, seen, known.numpy):
            return f'np.asarray({source}).astype("{known.numpy}")'
    return "" if known is None else f"send {WANTED_NAMES.get(known.numpy.kind, numpy_name(dtype))} there"


def _can_be(value: object, seen: Value, dtype: np.dtype[np.generic]) -> bool:
    if seen.shape is None or seen.kind == "?":
        return False
    if isinstance(value, np.ndarray | Value):
        return seen.kind in "fiub"
    if math.prod(seen.shape) > MAX_TRIED:
        return False
    try:
        with np.errstate(all="ignore"):
            # As objects, since numpy would give every string the room of the longest.
            np.array(value, dtype=object).astype(dtype)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
