"""Predict bodies against signatures of one shape: what is bound, and what is refused."""

from __future__ import annotations

import pytest

from jupyter_tfserve.codec.json_predict import bind_predict, parse_predict
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Signature, Tensor, TensorSpec

LIMITS = LimitOptions()


def signature(**dtypes: str) -> Signature:
    """A signature whose inputs have these dtypes; shapes are never consulted."""
    inputs = {name: TensorSpec(f"{name}:0", dtype, (-1, 9)) for name, dtype in dtypes.items()}
    return Signature("tensorflow/serving/predict", inputs, {})


def bound(body: str | bytes, limits: LimitOptions = LIMITS, **dtypes: str) -> tuple[dict[str, Tensor], bool]:
    raw = body.encode() if isinstance(body, str) else body
    return bind_predict(parse_predict(raw, limits), signature(**dtypes), limits)


def tensor(body: str, dtype: str) -> Tensor:
    """The tensor of a signature with the one input `x`."""
    tensors, _ = bound(body, x=dtype)
    assert list(tensors) == ["x"]
    return tensors["x"]


def error(body: str | bytes, **dtypes: str) -> tuple[Code, str]:
    with pytest.raises(ServingError) as raised:
        bound(body, **dtypes)
    return raised.value.code, raised.value.message
