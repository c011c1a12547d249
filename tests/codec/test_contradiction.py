"""Tensors that can't be what a signature wants, and those that can."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec.contradiction import refusal
from jupyter_tfserve.errors import Code
from jupyter_tfserve.types import Signature, TensorSpec


def signature(shape: tuple[int, ...] | None) -> Signature:
    return Signature("", {"image": TensorSpec("x:0", "float", shape)}, {})


@pytest.mark.parametrize(
    ("came", "wanted"),
    [
        ((5, 28, 28), (-1, 28, 28, 1)),
        ((5, 28, 27, 1), (-1, 28, 28, 1)),
        ((2,), (3,)),
        ((), (-1,)),
        ((1,), ()),
    ],
)
def test_refusal_names_input_and_shapes_when_they_contradict(came, wanted) -> None:
    refused = refusal({"image": np.zeros(came, np.float32)}, signature(wanted))
    assert refused is not None
    assert refused.code is Code.INVALID_ARGUMENT
    assert refused.message.startswith("Input image has shape [")


@pytest.mark.parametrize(
    ("came", "wanted"),
    [((5, 28, 28, 1), (-1, 28, 28, 1)), ((0,), (-1,)), ((), ()), ((7, 7), None), ((4, 9), (-1, -1))],
)
def test_nothing_is_refused_when_shapes_can_be_what_is_wanted(came, wanted) -> None:
    assert refusal({"image": np.zeros(came, np.float32)}, signature(wanted)) is None


def test_nothing_is_refused_when_the_signature_does_not_know_the_input() -> None:
    assert refusal({"graph:0": np.zeros(3)}, signature((-1, 2))) is None
