"""regression: upstream's checks of signature and output, and the message."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec.protos import RegressionResponse
from jupyter_tfserve.codec.regression import put_regressions, read_regressions, regression_outputs
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Signature, TensorSpec

ANY = TensorSpec("t:0", "float", None)
VALUES = np.array([3.5, 0.0], np.float32)


def signature(*outputs, inputs=("inputs",), method="tensorflow/serving/regress"):
    return Signature(method, dict.fromkeys(inputs, ANY), dict.fromkeys(outputs, ANY))


def refusal(call, *arguments) -> str:
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value.message


def test_the_output_is_asked_for_when_the_signature_regresses():
    assert regression_outputs(signature("outputs")) == ("outputs",)


@pytest.mark.parametrize(
    ("wrong", "beginning"),
    [
        (signature("outputs", inputs=()), "Expected one input Tensor."),
        (signature("outputs", "more"), "Expected one output Tensor."),
        (signature(), "Expected one output Tensor."),
        (signature("outputs", inputs=("x",)), "No regression inputs found in SignatureDef: inputs {"),
        (signature("y"), "No regression outputs found in SignatureDef: inputs {"),
    ],
)
def test_signature_is_refused_in_upstreams_words_when_it_does_not_regress(wrong, beginning):
    assert refusal(regression_outputs, wrong).startswith(beginning)


def test_method_name_counts_only_when_it_is_checked():
    wrong = signature("outputs", method="m")
    assert regression_outputs(wrong) == ("outputs",)
    assert refusal(regression_outputs, wrong, True) == (
        "Expected regression signature method_name to be tensorflow/serving/regress. Was: m"
    )


SHAPE = "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.zeros((2, 2), np.float32), SHAPE + "[2,2]"),
        (np.float32(1).reshape(()), SHAPE + "[]"),
        (VALUES[:1], "Input batch size did not match output batch size: 2 vs. 1"),
        (VALUES.astype(np.int32), "Expected output Tensor of DT_FLOAT.  Got: DT_INT32"),
    ],
)
def test_output_is_refused_in_upstreams_words_when_it_is_no_regression(output, message):
    assert refusal(read_regressions, {"outputs": np.asarray(output)}, 2) == message


@pytest.mark.parametrize("output", [VALUES, VALUES.reshape(2, 1)])
def test_message_has_a_value_for_each_example_when_the_output_is_right(output):
    response = RegressionResponse()
    put_regressions(read_regressions({"outputs": output}, 2), response.result)
    assert [entry.value for entry in response.result.regressions] == [3.5, 0.0]
