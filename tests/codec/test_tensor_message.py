"""codec.tensor_message: the bytes that protobuf would make of the same PredictResponse, as far as it can tell."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.protos import PredictResponse
from jupyter_tfserve.codec.tensor_message import predict_response
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.errors import Code, ServingError

NUMBERS = sorted(set(DTYPES) - {"string"})
aliases = st.text(min_size=1, max_size=200)


def expected(outputs, as_content=False, name="m", version=1, signature="serving_default"):
    response = PredictResponse()
    response.model_spec.name = name
    response.model_spec.version.value = version
    response.model_spec.signature_name = signature
    for alias, tensor in outputs.items():
        encode_tensor(tensor, response.outputs[alias], as_content)
    return response


@given(
    shape=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    name=st.sampled_from(NUMBERS),
    alias=aliases,
    as_content=st.booleans(),
    data=st.data(),
)
@settings(deadline=None)
def test_numbers_are_encoded_as_protobuf_does(shape, name, alias, as_content, data):
    count = int(np.prod(shape, dtype=np.int64))
    numbers = data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    outputs = {alias: np.array(numbers, DTYPES[name].numpy).reshape(shape)}
    message = PredictResponse.FromString(predict_response("m", 1, "serving_default", outputs, as_content))
    assert message == expected(outputs, as_content)


@given(
    alias=aliases, name=st.text(max_size=300), version=st.integers(0, 2**63 - 1), texts=st.lists(st.binary())
)
@settings(deadline=None)
def test_several_outputs_and_any_names_are_encoded_as_protobuf_does(alias, name, version, texts):
    strings = np.empty(len(texts), object)
    strings[:] = texts
    outputs = {alias: strings, alias + "2": np.float32(1.5).reshape(()), alias + "3": np.arange(200.0)}
    message = PredictResponse.FromString(predict_response(name, version, alias, outputs))
    assert message == expected(outputs, name=name, version=version, signature=alias)


def test_single_output_has_the_very_bytes_of_protobuf():
    outputs = {"y": np.array([[1.5, 2.5]], np.float32)}
    assert (
        predict_response("m", 3, "", outputs)
        == expected(outputs, version=3, signature="").SerializeToString()
    )


@pytest.mark.parametrize(
    "tensor",
    [np.arange(6, dtype=np.float64).reshape(2, 3).T, np.arange(4, dtype=ml_dtypes.bfloat16)[::2]],
    ids=["transposed", "strided"],
)
def test_tensor_keeps_its_order_when_it_is_a_view(tensor):
    message = PredictResponse.FromString(predict_response("m", 1, "", {"y": tensor}))
    assert message == expected({"y": tensor}, signature="")


def test_encoding_is_refused_when_tensorflow_has_no_such_dtype():
    with pytest.raises(ServingError) as caught:
        predict_response("m", 1, "", {"y": np.zeros(1, "datetime64[s]")})
    assert caught.value.code is Code.INTERNAL
