"""Classify, Regress and MultiInference over gRPC with the unmodified tensorflow-serving-api client."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from jupyter_tfserve.codec import protos
from tests.contract.grpc_requests import (
    BOTH,
    CLASSIFY,
    INVALID,
    MISSING,
    ODD,
    REGRESS,
    TF2,
    TIMEOUT_S,
    TWO,
    classification,
    effective,
    example,
    failure,
    regression,
    spec,
)

# Classify and Regress


@pytest.mark.parametrize("model", [TWO, TF2, BOTH])
def test_classify_and_regress_answer(prediction, model: str) -> None:
    version = 124 if model == BOTH else 123
    answer = prediction.Classify(
        classification("classify_x_to_y", example(x=2), model=model), timeout=TIMEOUT_S
    )
    (row,) = answer.result.classifications
    assert [(found.label, found.score) for found in row.classes] == [("", 3.0)]
    assert effective(answer) == (model, version, "classify_x_to_y")
    answer = prediction.Regress(
        regression("regress_x_to_y", example(x=80), example(x=2), model=model), timeout=TIMEOUT_S
    )
    assert [found.value for found in answer.result.regressions] == [42.0, 3.0]
    assert effective(answer) == (model, version, "regress_x_to_y")


def test_context_is_every_example_s_and_the_example_wins(prediction) -> None:
    request = regression("regress_x_to_y", example(), example(x=4), context=example(x=2))
    answer = prediction.Regress(request, timeout=TIMEOUT_S)
    assert [found.value for found in answer.result.regressions] == [3.0, 4.0]


@pytest.mark.parametrize(
    ("signature", "classes"),
    [
        ("only_classes", [[("1.000000", 0.0)]]),
        ("zero_scores", [[("", 0.0), ("", 0.0)]]),
        ("two_classes", [[("1.000000", 1.0), ("1.000000", 1.0)]]),
    ],
)
def test_classes_and_scores_are_paired(prediction, signature: str, classes: Any) -> None:
    answer = prediction.Classify(classification(signature, example(x=1), model=ODD), timeout=TIMEOUT_S)
    assert [
        [(found.label, found.score) for found in row.classes] for row in answer.result.classifications
    ] == classes


ONE_X = example(x=1)
NO_INPUT = "Input is empty."


@pytest.mark.parametrize(
    ("method", "request_", "message"),
    [
        ("Classify", classification("no", ONE_X), "No signature was found with the name: no"),
        ("Regress", regression("no", ONE_X), "No signature was found with the name: no"),
        ("Classify", classification("two_inputs", ONE_X, model=ODD), "Expected one input Tensor."),
        ("Regress", regression("two_inputs", ONE_X, model=ODD), "Expected one input Tensor."),
        (
            "Classify",
            classification("three_outputs", ONE_X, model=ODD),
            "Expected one or two output Tensors, found 3",
        ),
        ("Regress", regression("two_values", ONE_X, model=ODD), "Expected one output Tensor."),
        (
            "Classify",
            classification("input_misnamed", ONE_X, model=ODD),
            "No classification inputs found in SignatureDef: ...",
        ),
        (
            "Regress",
            regression("regress_input_misnamed", ONE_X, model=ODD),
            "No regression inputs found in SignatureDef: ...",
        ),
        (
            "Classify",
            classification("no_known_output", ONE_X, model=ODD),
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: ...",
        ),
        (
            "Regress",
            regression("zero_scores", ONE_X, model=ODD),
            "No regression outputs found in SignatureDef: ...",
        ),
        ("Classify", classification("classify_x_to_y"), NO_INPUT),
        ("Regress", regression("regress_x_to_y"), NO_INPUT),
        ("Classify", spec(protos.ClassificationRequest(), TWO, "classify_x_to_y"), NO_INPUT),
        ("Classify", classification("classify_x_to_y", context=example(x=1)), NO_INPUT),
        ("Regress", regression("regress_x_to_y", context=example(x=1)), NO_INPUT),
        (
            "Classify",
            classification("flat_scores", ONE_X, model=ODD),
            "Expected Tensor shape: [batch_size num_classes] but got [1]",
        ),
        (
            "Classify",
            classification("float_classes", ONE_X, model=ODD),
            "Expected classes Tensor of DT_STRING. Got: DT_FLOAT",
        ),
        (
            "Classify",
            classification("text_scores", ONE_X, model=ODD),
            "Expected scores Tensor of DT_FLOAT. Got: DT_STRING",
        ),
        (
            "Classify",
            classification("scores_of_three", ONE_X, model=ODD),
            "Expected scores output batch size of 1. Got: 3",
        ),
        (
            "Classify",
            classification("classes_of_three", ONE_X, model=ODD),
            "Expected classes output batch size of 1. Got: 3",
        ),
        (
            "Classify",
            classification("two_scores_one_class", ONE_X, model=ODD),
            "Tensors class and score should match in dim_size(1). Got 1 vs. 2",
        ),
        (
            "Regress",
            regression("wide_values", ONE_X, model=ODD),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [1,2]",
        ),
        (
            "Regress",
            regression("scalar_value", ONE_X, model=ODD),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []",
        ),
        (
            "Regress",
            regression("values_of_three", ONE_X, model=ODD),
            "Input batch size did not match output batch size: 1 vs. 3",
        ),
        (
            "Regress",
            regression("text_values", ONE_X, model=ODD),
            "Expected output Tensor of DT_FLOAT.  Got: DT_STRING",
        ),
    ],
)
def test_inference_that_cannot_be_is_told_why(prediction, method: str, request_: Any, message: str) -> None:
    code, told = failure(getattr(prediction, method), request_)
    assert code is INVALID
    if message.endswith("..."):  # the text of a SignatureDef follows
        assert told.startswith(message.removesuffix("..."))
        assert "inputs {" in told
    else:
        assert told == message


def test_flat_regressions_are_as_good(prediction) -> None:
    answer = prediction.Regress(
        regression("flat_values", example(x=1), example(x=2), model=ODD), timeout=TIMEOUT_S
    )
    assert [found.value for found in answer.result.regressions] == [1.0, 2.0]


# MultiInference


def tasks(*wanted: tuple[str, str, str], examples: Any = (ONE_X,)) -> Any:
    """(model, signature, method) each."""
    request = protos.MultiInferenceRequest()
    for model, signature, method in wanted:
        task = request.tasks.add(method_name=method)
        task.model_spec.name = model
        task.model_spec.signature_name = signature
    request.input.example_list.examples.extend(examples)
    return request


@pytest.mark.parametrize("model", [TWO, TF2])
def test_multi_inference_answers_every_task(prediction, model: str) -> None:
    wanted = [
        (model, "regress_x_to_y", REGRESS),
        (model, "classify_x_to_y", CLASSIFY),
        (model, "regress_x_to_y2", REGRESS),
    ]
    response = prediction.MultiInference(tasks(*wanted, examples=[example(x=2)]), timeout=TIMEOUT_S)
    first, second, third = response.results
    assert [found.value for found in first.regression_result.regressions] == [3.0]
    (row,) = second.classification_result.classifications
    assert [(found.label, found.score) for found in row.classes] == [("", 3.0)]
    assert [found.value for found in third.regression_result.regressions] == [4.0]
    assert [effective(result) for result in response.results] == [
        (model, 123, signature) for _, signature, _ in wanted
    ]


def test_first_task_alone_chooses_the_version(prediction) -> None:
    request = tasks((BOTH, "regress_x_to_y", REGRESS), (BOTH, "classify_x_to_y", CLASSIFY))
    request.tasks[0].model_spec.version.value = 123
    request.tasks[1].model_spec.version.value = 999
    response = prediction.MultiInference(request, timeout=TIMEOUT_S)
    assert [result.model_spec.version.value for result in response.results] == [123, 123]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (protos.MultiInferenceRequest(), INVALID, "ModelSpec has no name specified."),
        (tasks(("no", "s", REGRESS)), MISSING, "Servable not found for request: Latest(no)"),
        (
            tasks((TWO, "regress_x_to_y", REGRESS), ("", "classify_x_to_y", CLASSIFY)),
            INVALID,
            "Found ModelSpec with an empty model name.",
        ),
        (
            tasks((TWO, "regress_x_to_y", REGRESS), ("other", "classify_x_to_y", CLASSIFY)),
            INVALID,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            tasks((TWO, "regress_x_to_y", REGRESS), (TWO, "regress_x_to_y", REGRESS)),
            INVALID,
            "Duplicate evaluation of signature: regress_x_to_y",
        ),
        (tasks((TWO, "no", REGRESS)), INVALID, "Requested signature not found in model graph: no"),
        (
            tasks((TWO, "serving_default", "tensorflow/serving/predict")),
            grpc.StatusCode.UNIMPLEMENTED,
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (tasks((TWO, "regress_x_to_y", REGRESS), examples=()), INVALID, NO_INPUT),
    ],
)
def test_multi_inference_that_cannot_be_is_told_why(
    prediction, request_: Any, code: Any, message: str
) -> None:
    assert failure(prediction.MultiInference, request_) == (code, message)
