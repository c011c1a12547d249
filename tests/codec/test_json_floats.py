"""float32 values print as TensorFlow Serving's six or nine digits, whichever way computes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jupyter_tfserve.codec.json_floats import printed_doubles, printed_float32


def by_definition(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """`%.6g`, else `%.9g` where six digits read back as another float32."""
    printed = []
    for value in values.tolist():
        short = float(f"{value:.6g}")
        with np.errstate(over="ignore"):
            printed.append(short if np.float32(short) == value else float(f"{value:.9g}"))
    return np.array(printed)


def assert_same_bits(found: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[found == 0]), np.signbit(expected[expected == 0]))


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (2.5, 2.5),
        (1 / 3, 0.333333343),
        (0.1, 0.1),
        (1e6, 1e6),
        (1e-5, 1e-05),
        (1234567, 1234567.0),
        (123456.7, 123456.703),
        (9e6, 9e06),
        (999999, 999999.0),
        (3e-4, 0.0003),
        (555557.5, 555557.5),
        (3.4028235e38, 3.40282347e38),
        (1e-45, 1.4013e-45),
    ],
)
def test_printed_float32_is_the_decimal_of_tensorflow_serving(value: float, printed: float) -> None:
    single = np.array([value], np.float32)
    assert printed_float32(float(single[0])) == printed
    assert printed_doubles(single).tolist() == [printed]


@example([0x7F800001, 0xFFC00000, 0x80000001])
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=200))
def test_printed_doubles_is_the_definition_for_any_bits(bits: list[int]) -> None:
    values = np.array(bits, np.uint32).view(np.float32)
    assert_same_bits(printed_doubles(values), by_definition(values))


@pytest.mark.parametrize("seed", range(3))
def test_printed_doubles_is_the_definition_in_every_binade(seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2**32, 30_000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    assert_same_bits(printed_doubles(values), by_definition(values))


def test_printed_doubles_is_the_definition_around_powers_of_ten_and_short_decimals() -> None:
    powers = [float(f"1e{power}") * (1 + step * 6e-8) for power in range(-44, 38) for step in range(-4, 5)]
    decimals = np.random.default_rng(5).integers(0, 10**7, 20_000) / 10**5
    dyadic = np.random.default_rng(6).integers(0, 2**24, 20_000) / 2.0 ** (np.arange(20_000) % 50)
    values = np.concatenate([powers, decimals, dyadic, -decimals, np.arange(2**24 - 500, 2**24 + 500)])
    singles = values.astype(np.float32)
    assert_same_bits(printed_doubles(singles), by_definition(singles))


def test_printed_doubles_keeps_shape_zeros_and_what_is_not_finite() -> None:
    values = np.array([[0.0, -0.0, np.nan], [np.inf, -np.inf, 1.5]], np.float32)
    found = printed_doubles(values.T)
    assert found.shape == (3, 2)
    np.testing.assert_array_equal(found, values.T)
    assert np.signbit(found[1, 0])
