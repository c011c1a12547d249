"""classification: upstream's checks of signature and outputs, and the message."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format

from jupyter_tfserve.codec.classification import (
    Classifications,
    classification_outputs,
    put_classifications,
    read_classifications,
)
from jupyter_tfserve.codec.protos import ClassificationResponse, SignatureDef
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Signature, TensorSpec

TEXT = TensorSpec("tf_example:0", "string", None)
FLOAT = TensorSpec("y:0", "float", (-1, 1))
LABELS = np.array([[b"a", b"b"], [b"c", b"d"]], object)
SCORES = np.array([[0.5, 0.0], [2.0, 3.0]], np.float32)


def signature(*outputs, inputs=("inputs",), method="tensorflow/serving/classify"):
    return Signature(method, dict.fromkeys(inputs, TEXT), dict.fromkeys(outputs, FLOAT))


def refusal(call, *arguments) -> str:
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value.message


@pytest.mark.parametrize(
    ("outputs", "asked"),
    [
        (("scores",), ("scores",)),
        (("classes",), ("classes",)),
        (("scores", "classes"), ("classes", "scores")),
        (("scores", "other"), ("scores",)),
    ],
)
def test_known_outputs_are_asked_for_when_the_signature_classifies(outputs, asked):
    assert classification_outputs(signature(*outputs)) == asked


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (signature("scores", inputs=()), "Expected one input Tensor."),
        (signature("scores", inputs=("inputs", "more")), "Expected one input Tensor."),
        (signature(), "Expected one or two output Tensors, found 0"),
        (signature("a", "b", "scores"), "Expected one or two output Tensors, found 3"),
    ],
)
def test_signature_is_refused_when_its_tensors_are_too_few_or_many(wrong, message):
    assert refusal(classification_outputs, wrong) == message


@pytest.mark.parametrize(
    ("wrong", "beginning"),
    [
        (signature("scores", inputs=("x",)), "No classification inputs found in SignatureDef: "),
        (
            signature("y"),
            "Expected classification signature outputs to contain at least one of "
            '"classes" or "scores". Signature was: ',
        ),
    ],
)
def test_signature_is_printed_when_its_names_are_wrong(wrong, beginning):
    message = refusal(classification_outputs, wrong)
    assert message.startswith(beginning)
    printed = text_format.Parse(message.removeprefix(beginning), SignatureDef())
    assert printed.method_name == wrong.method_name
    inputs = {alias: (info.name, info.dtype) for alias, info in printed.inputs.items()}
    assert inputs == dict.fromkeys(wrong.inputs, ("tf_example:0", 7))
    assert all(info.tensor_shape.unknown_rank for info in printed.inputs.values())
    assert [dim.size for info in printed.outputs.values() for dim in info.tensor_shape.dim] == [-1, 1]


def test_method_name_counts_only_when_it_is_checked():
    wrong = signature("scores", method="tensorflow/serving/predict")
    assert classification_outputs(wrong) == ("scores",)
    assert refusal(classification_outputs, wrong, True) == (
        "Expected classification signature method_name to be tensorflow/serving/classify. "
        "Was: tensorflow/serving/predict"
    )
    assert classification_outputs(signature("scores"), True) == ("scores",)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"scores": SCORES[0]}, "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        ({"classes": LABELS[None]}, "Expected Tensor shape: [batch_size num_classes] but got [1,2,2]"),
        ({"scores": SCORES.astype(np.float64)}, "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
        ({"classes": SCORES}, "Expected classes Tensor of DT_STRING. Got: DT_FLOAT"),
        ({"scores": SCORES[:1]}, "Expected scores output batch size of 2. Got: 1"),
        ({"classes": LABELS[:1]}, "Expected classes output batch size of 2. Got: 1"),
        (
            {"classes": LABELS[:, :1], "scores": SCORES},
            "Tensors class and score should match in dim_size(1). Got 1 vs. 2",
        ),
    ],
)
def test_outputs_are_refused_in_upstreams_words_when_they_are_no_classification(outputs, message):
    assert refusal(read_classifications, outputs, 2) == message


def pairs(classifications: Classifications) -> list[list[tuple[str, float]]]:
    response = ClassificationResponse()
    put_classifications(classifications, response.result)
    decoded = ClassificationResponse.FromString(response.SerializeToString())
    return [[(entry.label, entry.score) for entry in row.classes] for row in decoded.result.classifications]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"classes": LABELS, "scores": SCORES}, [[("a", 0.5), ("b", 0.0)], [("c", 2.0), ("d", 3.0)]]),
        ({"classes": LABELS}, [[("a", 0.0), ("b", 0.0)], [("c", 0.0), ("d", 0.0)]]),
        ({"scores": SCORES}, [[("", 0.5), ("", 0.0)], [("", 2.0), ("", 3.0)]]),
        ({"scores": SCORES[:, :0]}, [[], []]),
        ({"classes": np.array([[b"\xff"], [b"\xc3\xa9"]], object)}, [[("�", 0.0)], [("é", 0.0)]]),
    ],
    ids=["both", "labels", "scores", "no_classes", "not_utf8"],
)
def test_message_has_a_class_for_each_column_when_outputs_are_right(outputs, expected):
    assert pairs(read_classifications(outputs, 2)) == expected
