"""float32 values as the doubles whose shortest text is the one that TensorFlow Serving prints.

TensorFlow Serving prints a float32 with `%.6g`, and with `%.9g` where six digits do not give the value back.
A JSON reader sees a decimal, so what counts is the double that it stands for: one third is 0.333333343, not
the 0.3333333432674408 that a plain widening gives. orjson then prints the shortest text of that double.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_FLOAT32: Final = struct.Struct("<f")

_EXACT_POWER: Final = 22
"""10**22 is the last power of ten that a double holds exactly; beyond it `%` does the rounding."""

_TIE_MARGIN: Final = 1e-6
"""Scaling to nine digits is off by 1.2e-7 at most: within this distance of a tie, `%` does the rounding."""


def printed_float32(value: float) -> float:
    """The double that TensorFlow Serving's text of one float32 stands for. NaN and infinities stay."""
    short = float("%.6g" % value)  # noqa: UP031 - twice as quick as format()
    if short == value or _FLOAT32.unpack(_FLOAT32.pack(short))[0] == value:
        return short
    return float("%.9g" % value)  # noqa: UP031


def printed_doubles(tensor: NDArray[np.float32]) -> NDArray[np.float64]:
    """`printed_float32` of every element; NaN and infinities stay. Same shape as `tensor`."""
    return _printed(np.ascontiguousarray(tensor).reshape(-1)).reshape(tensor.shape)


class _Scale:
    """For `digits` significant digits: by binary exponent, the factor that makes them an integer.

    A binade holds at most one power of ten, so two entries for each (below and from `TENS` on) are exact.
    One of `up` and `down` is 1, so that scaling and scaling back round once each.
    """

    def __init__(self, digits: int) -> None:
        self.up = np.ones(512)
        self.down = np.ones(512)
        self.is_safe = np.zeros(512, np.bool_)
        self.is_safe[0] = True  # zero itself; the denormals beside it are found by their value
        for binade in range(1, 255):
            for entry in (2 * binade, 2 * binade + 1):
                power = digits - 1 - (_decimal_exponent(binade) + entry % 2)
                if abs(power) <= _EXACT_POWER:
                    self.is_safe[entry] = True
                    (self.up if power >= 0 else self.down)[entry] = 10.0 ** abs(power)


def _decimal_exponent(binade: int) -> int:
    """floor(log10) of the smallest number of a float32 binade, exactly."""
    return int(f"{2.0 ** (binade - 127):.17e}".partition("e")[2])


_TENS: Final = np.array(
    [math.inf, *(float(f"1e{_decimal_exponent(binade) + 1}") for binade in range(1, 255)), math.inf]
)
_SIX: Final = _Scale(6)
_NINE: Final = _Scale(9)


def _printed(flat: NDArray[np.float32]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # a signalling NaN
        doubles = flat.astype(np.float64)
    binades = (flat.view(np.uint32) >> np.uint32(23)) & np.uint32(0xFF)
    entries = binades.astype(np.intp)
    entries = 2 * entries + (np.abs(doubles) >= _TENS[entries])
    with np.errstate(all="ignore"):
        printed, _ = _rounded(doubles, entries, _SIX)
        is_long = printed.astype(np.float32) != flat
        is_unsafe = ~(_SIX.is_safe & _NINE.is_safe)[entries] | ((entries == 0) & (doubles != 0.0))
        places = np.flatnonzero(is_long)
        if places.size:
            printed[places], is_tie = _rounded(doubles[places], entries[places], _NINE)
            is_unsafe[places[is_tie]] = True
    return _repaired(printed, doubles, np.flatnonzero(is_unsafe))


def _rounded(
    doubles: NDArray[np.float64], entries: NDArray[np.intp], scale: _Scale
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each value to the scale's digits, and where the way to round is too close to call.

    Six digits need no such look: halfway between two of them lies no float32 that either gives back.
    """
    up, down = scale.up[entries], scale.down[entries]
    has_large = bool((down != 1.0).any())  # a division costs 30 times a comparison
    scaled = doubles * up / down if has_large else doubles * up
    whole = np.rint(scaled)
    is_tie = np.abs(np.abs(scaled - whole) - 0.5) < _TIE_MARGIN
    printed = whole / up
    return (printed * down if has_large else printed), is_tie


def _repaired(
    printed: NDArray[np.float64], doubles: NDArray[np.float64], places: NDArray[Any]
) -> NDArray[np.float64]:
    """The few values that numpy could not round for sure: tiny, huge, near a tie, or not finite."""
    for place in places.tolist():
        printed[place] = printed_float32(float(doubles[place]))
    return printed
