"""The hint of a refused prediction: never an error of its own, whatever was sent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.explanation import (
    explained,
    explained_tensors,
    look_at_protos,
    look_at_tensors,
)
from jupyter_tfserve.codec.protos import PredictRequest
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import Signature, TensorSpec

IMAGE = Signature("", {"image": TensorSpec("x:0", "float", (-1, 2, 1))}, {})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["image", "b64", "b", ""]) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)
SPECS = st.builds(
    TensorSpec,
    st.just("x:0"),
    st.sampled_from(["float", "int32", "uint64", "string", "bool", "half", "complex64", "resource"]),
    st.none() | st.lists(st.integers(-1, 3), max_size=3).map(tuple),
)
SIGNATURES = st.builds(
    Signature, st.just(""), st.dictionaries(st.sampled_from(["image", "b"]), SPECS), st.just({})
)


@given(st.sampled_from(["instances", "inputs"]), JSON, SIGNATURES)
def test_explaining_never_fails_when_the_request_is_any(member, value, signature) -> None:
    error = invalid_argument("no")
    told = explained(error, {member: value}, signature)
    assert (told.code, told.message) == (error.code, error.message)


@given(
    st.dictionaries(
        st.text(max_size=3) | st.just("image"),
        st.tuples(st.integers(-1, 140), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)),
    ),
    SIGNATURES,
)
def test_explaining_never_fails_when_the_message_is_any(tensors, signature) -> None:
    request = PredictRequest()
    for alias, (dtype, sizes) in tensors.items():
        request.inputs[alias].dtype = dtype
        for size in sizes:
            request.inputs[alias].tensor_shape.dim.add(size=size)
    told = explained_tensors(invalid_argument("no"), look_at_protos(request.inputs), signature)
    assert told.code is Code.INVALID_ARGUMENT


def test_tensors_are_explained_by_their_exact_type() -> None:
    request = PredictRequest()
    encode_tensor(np.zeros((1, 2, 1), np.float64), request.inputs["image"], False)
    for seen in (look_at_protos(request.inputs), look_at_tensors({"image": np.zeros((1, 2, 1))})):
        hint = explained_tensors(invalid_argument("no"), seen, IMAGE).hint
        assert hint is not None
        assert "inputs.image: float64, wanted [?,2,1] float32" in hint
        assert "Fix: np.asarray(inputs['image']).astype(\"float32\")" in hint


def test_input_with_a_default_is_not_missed_in_a_message() -> None:
    specs = {"image": IMAGE.inputs["image"], "bias": TensorSpec("b:0", "float", ())}
    signature = Signature("", specs, {}, {"bias": np.float32(1)})
    seen = look_at_tensors({"image": np.zeros((1, 2, 1), np.float32)})
    assert explained_tensors(invalid_argument("no"), seen, signature).hint is None


@pytest.mark.parametrize(
    "error",
    [ServingError(Code.UNAVAILABLE, "full"), ServingError(Code.INVALID_ARGUMENT, "no", "a hint of its own")],
)
def test_error_stays_as_it_is_when_it_is_about_something_else(error) -> None:
    assert explained(error, {"instances": [[1.0]]}, IMAGE) is error
