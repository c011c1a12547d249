"""The contract over gRPC with the unmodified tensorflow-serving-api client: examples, statuses and their texts."""

from __future__ import annotations

import re
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor
from jupyter_tfserve.options import LimitOptions
from tests.contract.echo import echo_inputs

TWO, BOTH, TF2, ODD = "half_plus_two", "half_plus_two_2_versions", "half_plus_two_tf2", "odd_signatures"
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
FAILED = grpc.StatusCode.FAILED_PRECONDITION
TIMEOUT_S = 30


def spec(message: Any, model: str = TWO, signature: str = "", **choice: Any) -> Any:
    """The message, its ModelSpec filled in; `version` or `label` as given."""
    message.model_spec.name = model
    message.model_spec.signature_name = signature
    if "version" in choice:
        message.model_spec.version.value = choice["version"]
    if "label" in choice:
        message.model_spec.version_label = choice["label"]
    return message


def predict(
    inputs: dict[str, Any], model: str = TWO, signature: str = "", outputs: Any = (), **choice: Any
) -> Any:
    request = spec(protos.PredictRequest(), model, signature, **choice)
    for alias, value in inputs.items():
        encode_tensor(value, request.inputs[alias])
    request.output_filter.extend(outputs)
    return request


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def example(**features: float) -> Any:
    message = protos.Example()
    for name, value in features.items():
        message.features.feature[name].float_list.value.append(value)
    return message


def inference(kind: Any, signature: str, *examples: Any, model: str = TWO, context: Any = None) -> Any:
    request = spec(kind(), model, signature)
    if context is None:
        request.input.example_list.examples.extend(examples)
    else:
        request.input.example_list_with_context.context.CopyFrom(context)
        request.input.example_list_with_context.examples.extend(examples)
    return request


def regression(signature: str, *examples: Any, **more: Any) -> Any:
    return inference(protos.RegressionRequest, signature, *examples, **more)


def classification(signature: str, *examples: Any, **more: Any) -> Any:
    return inference(protos.ClassificationRequest, signature, *examples, **more)


def failure(method: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        method(request, timeout=TIMEOUT_S)
    return raised.value.code(), raised.value.details()


def effective(response: Any) -> tuple[str, int, str]:
    found = response.model_spec
    assert found.WhichOneof("version_choice") in (None, "version")
    return found.name, found.version.value, found.signature_name


# ModelSpec (2.2)


def requests_of(model: str, **choice: Any) -> list[tuple[str, Any]]:
    metadata = spec(protos.GetModelMetadataRequest(), model, **choice)
    metadata.metadata_field.append("signature_def")
    return [
        ("Predict", predict({"x": floats(1)}, model, **choice)),
        ("Classify", spec(classification("s", example(x=1)), model, "s", **choice)),
        ("Regress", spec(regression("s", example(x=1)), model, "s", **choice)),
        ("GetModelMetadata", metadata),
    ]


@pytest.mark.parametrize("method", [0, 1, 2, 3], ids=["Predict", "Classify", "Regress", "GetModelMetadata"])
@pytest.mark.parametrize(
    ("model", "choice", "status"),
    [
        ("", {}, (INVALID, "ModelSpec has no name specified.")),
        ("no", {}, (MISSING, "Servable not found for request: Latest(no)")),
        ("no", {"version": 3}, (MISSING, "Servable not found for request: Specific(no, 3)")),
        (TWO, {"version": 0}, (MISSING, f"Servable not found for request: Specific({TWO}, 0)")),
        (TWO, {"version": 9}, (MISSING, f"Servable not found for request: Specific({TWO}, 9)")),
        (TWO, {"label": "x"}, (INVALID, "Unrecognized servable version label: x")),
        ("no", {"label": "x"}, (INVALID, "Unrecognized servable version label: x")),
    ],
)
def test_model_that_is_not_there_is_named(prediction, method, model, choice, status) -> None:
    name, request = requests_of(model, **choice)[method]
    assert failure(getattr(prediction, name), request) == status


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Predict", protos.PredictRequest),
        ("Classify", protos.ClassificationRequest),
        ("Regress", protos.RegressionRequest),
        ("GetModelMetadata", protos.GetModelMetadataRequest),
    ],
)
def test_missing_model_spec_is_told(prediction, name: str, kind: Any) -> None:
    assert failure(getattr(prediction, name), kind()) == (INVALID, "Missing ModelSpec")


@pytest.mark.parametrize(
    ("choice", "version"),
    [({}, 124), ({"version": 123}, 123), ({"label": "old"}, 123), ({"label": "new"}, 124)],
)
def test_answer_names_the_version_that_gave_it(prediction, choice: Any, version: int) -> None:
    response = prediction.Predict(predict({"x": floats(2)}, BOTH, **choice), timeout=TIMEOUT_S)
    assert effective(response) == (BOTH, version, "serving_default")


# Predict (2.3)


@pytest.mark.parametrize("outputs", [(), ("y",)])
def test_predict_answers_in_float_val(prediction, outputs: Any) -> None:
    response = prediction.Predict(predict({"x": floats(2)}, outputs=outputs), timeout=TIMEOUT_S)
    assert list(response.outputs) == ["y"]
    answer = response.outputs["y"]
    assert (answer.dtype, list(answer.float_val), answer.tensor_content) == (1, [3.0], b"")
    assert effective(response) == (TWO, 123, "serving_default")


def test_scalar_comes_back_as_scalar(prediction) -> None:
    response = prediction.Predict(predict({"x": np.float32(2.0).reshape(())}), timeout=TIMEOUT_S)
    answer = response.outputs["y"]
    assert answer.HasField("tensor_shape")
    assert (len(answer.tensor_shape.dim), list(answer.float_val)) == (0, [3.0])


def test_predict_runs_any_kind_of_signature(prediction) -> None:
    answer = prediction.Predict(
        predict({"inputs": floats(2)}, signature="regress_x2_to_y3"), timeout=TIMEOUT_S
    )
    assert list(answer.outputs["outputs"].float_val) == [4.0]
    answer = prediction.Predict(predict({"inputs": floats(2)}, BOTH, "classify_x2_to_y3"), timeout=TIMEOUT_S)
    assert list(answer.outputs["scores"].float_val) == [4.0]


def test_signatures_without_inputs_keep_their_count(prediction) -> None:
    def call(signature: str, **inputs: Any) -> float:
        response = prediction.Predict(predict(inputs, "counter", signature), timeout=TIMEOUT_S)
        (value,) = response.outputs["output"].float_val
        return value

    call("reset_counter")
    assert [call(f"{verb}_counter") for verb in ("get", "incr", "reset", "incr")] == [0, 1, 0, 1]
    assert call("incr_counter_by", delta=np.float32(3).reshape(())) == 4


def test_input_with_a_default_may_be_left_out(prediction) -> None:
    assert list(prediction.Predict(predict({}, TF2), timeout=TIMEOUT_S).outputs["y"].float_val) == [3.0]
    response = prediction.Predict(predict({"x": floats(4)}, TF2), timeout=TIMEOUT_S)
    assert list(response.outputs["y"].float_val) == [4.0]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (predict({}, "counter"), (FAILED, 'Serving signature key "serving_default" not found.')),
        (predict({"x": floats(1)}, signature="no"), (FAILED, 'Serving signature key "no" not found.')),
        (
            predict({}),
            (
                INVALID,
                "input size does not match signature: 0!=1 len({}) != len({x}). "
                "Sent extra: {}. Missing but required: {x}.",
            ),
        ),
        (
            predict({"unknown_key2": floats(1), "unknown_key1": floats(1)}),
            (
                INVALID,
                "input size does not match signature: 2!=1 len({unknown_key1,unknown_key2}) != len({x}). "
                "Sent extra: {unknown_key1,unknown_key2}. Missing but required: {x}.",
            ),
        ),
        (
            predict({"z": floats(1)}),
            (
                INVALID,
                "Signature input alias: x(feed name: x:0) not found in request and no default value provided. "
                "Inputs expected to be in the request {z}, or default input alias set: ",
            ),
        ),
        (
            predict({"z": floats(1)}, TF2),
            (INVALID, "Inputs contains invalid name. Used request inputs: , request input: z"),
        ),
        (
            predict({"x": floats(1)}, outputs=("output_filter",)),
            (
                INVALID,
                "output tensor alias not found in signature: output_filter "
                "Outputs expected to be in the set {y}.",
            ),
        ),
        (predict({"x": floats(1)}, outputs=("y", "y")), (INVALID, "duplicate output tensor alias: y")),
        (
            predict({"x": np.array([b"a"], object)}),
            (INVALID, "Expects arg[0] to be float but string is provided"),
        ),
        (
            predict({"x": np.array([True])}),
            (INVALID, "Expects arg[0] to be float but bool is provided"),
        ),
    ],
)
def test_predict_request_that_is_wrong_is_told_how(prediction, request_: Any, status: Any) -> None:
    assert failure(prediction.Predict, request_) == status


def test_tensor_that_is_none_is_named(prediction) -> None:
    request = spec(protos.PredictRequest())
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=2)
    request.inputs["x"].tensor_content = b"\0\0\0"
    assert failure(prediction.Predict, request) == (INVALID, "tensor parsing error: x")


def test_tensor_proto_s_short_forms_are_read(prediction) -> None:
    """The last value repeats, none at all is zeros, surplus ones are dropped, raw bytes will do."""

    def answer(size: int, values: Any = (), content: bytes = b"") -> list[float]:
        request = spec(protos.PredictRequest())
        tensor = request.inputs["x"]
        tensor.dtype = 1
        tensor.tensor_shape.dim.add(size=size)
        tensor.float_val.extend(values)
        tensor.tensor_content = content
        return list(prediction.Predict(request, timeout=TIMEOUT_S).outputs["y"].float_val)

    assert answer(3, [2, 4]) == [3, 4, 4]
    assert answer(2) == [2, 2]
    assert answer(1, [2, 4]) == [3]
    assert answer(2, content=floats(2, 4).tobytes()) == [3, 4]


def test_each_dtype_comes_back_in_its_own_field(prediction) -> None:
    sent = {
        "int8": np.array([-1], np.int8),
        "uint16": np.array([7], np.uint16),
        "int64": np.array([2**40]),
        "uint32": np.array([2**32 - 1], np.uint32),
        "half": np.array([0.5], np.float16),
        "string": np.array([b"\xff\0"], object),
        "complex64": np.array([1 - 2j], np.complex64),
    }
    outputs = prediction.Predict(predict(echo_inputs(sent), "echo"), timeout=TIMEOUT_S).outputs
    assert list(outputs["int8"].int_val) == [-1]
    assert list(outputs["uint16"].int_val) == [7]
    assert list(outputs["int64"].int64_val) == [2**40]
    assert list(outputs["uint32"].uint32_val) == [2**32 - 1]
    assert list(outputs["half"].half_val) == [0x3800]
    assert list(outputs["string"].string_val) == [b"\xff\0"]
    assert list(outputs["complex64"].scomplex_val) == [1, -2]
    for name, tensor in sent.items():
        assert np.array_equal(decode_tensor(outputs[name], LimitOptions()), tensor)


def test_model_s_own_error_comes_through(prediction) -> None:
    code, message = failure(prediction.Predict, predict({"x": floats(-1)}, "fail_run"))
    assert code is INVALID
    assert "x must not be negative" in message


def test_long_status_message_is_cut(prediction) -> None:
    name = "n" * 2000
    code, message = failure(prediction.Predict, predict({"x": floats(1)}, name))
    assert code is MISSING
    assert message == f"Servable not found for request: Latest({name}"[:1024] + "...TRUNCATED"


# Classify and Regress (2.4)


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


# MultiInference (2.5)


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


# GetModelMetadata and GetModelStatus (2.6, 2.7)


def metadata(*fields: str, model: str = TWO, **choice: Any) -> Any:
    request = spec(protos.GetModelMetadataRequest(), model, **choice)
    request.metadata_field.extend(fields)
    return request


def test_metadata_has_every_signature(prediction) -> None:
    response = prediction.GetModelMetadata(metadata("signature_def", model=TF2), timeout=TIMEOUT_S)
    assert effective(response) == (TF2, 123, "")
    assert list(response.metadata) == ["signature_def"]
    found = protos.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    assert {"serving_default", "classify_x_to_y", "regress_x_to_y", "__saved_model_init_op"} <= set(
        found.signature_def
    )
    assert list(found.signature_def["serving_default"].defaults["x"].float_val) == [2.0]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (metadata(), "GetModelMetadataRequest must specify at least one metadata_field"),
        (metadata("x"), "Metadata field x is not supported"),
        (metadata("signature_def", "x", model="no"), "Metadata field x is not supported"),
    ],
)
def test_metadata_of_another_kind_is_refused(prediction, request_: Any, message: str) -> None:
    assert failure(prediction.GetModelMetadata, request_) == (INVALID, message)


@pytest.mark.parametrize(
    ("choice", "versions"), [({}, [124, 123]), ({"version": 123}, [123]), ({"label": "old"}, [123])]
)
def test_status_lists_versions(models, choice: Any, versions: list[int]) -> None:
    response = models.GetModelStatus(spec(protos.GetModelStatusRequest(), BOTH, **choice), timeout=TIMEOUT_S)
    assert [entry.version for entry in response.model_version_status] == versions
    assert {
        (entry.state, entry.status.error_code, entry.status.error_message)
        for entry in response.model_version_status
    } == {(30, 0, "")}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (protos.GetModelStatusRequest(), (INVALID, "Missing ModelSpec")),
        (spec(protos.GetModelStatusRequest(), ""), (MISSING, "Could not find any versions of model ")),
        (spec(protos.GetModelStatusRequest(), "no"), (MISSING, "Could not find any versions of model no")),
        (
            spec(protos.GetModelStatusRequest(), TWO, version=9),
            (MISSING, f"Could not find version 9 of model {TWO}"),
        ),
    ],
)
def test_status_of_what_is_not_there_is_told(models, request_: Any, status: Any) -> None:
    assert failure(models.GetModelStatus, request_) == status


# Services (2.1)


@pytest.mark.parametrize(
    "method",
    [
        "/tensorflow.serving.PredictionService/PredictStreamed",
        "/tensorflow.serving.PredictionService/Nothing",
        "/tensorflow.serving.SessionService/SessionRun",
    ],
)
def test_method_that_is_not_served_is_unimplemented(channel, method: str) -> None:
    code, _ = failure(channel.unary_unary(method), b"")
    assert code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("package", ["", "tensorflow.serving."])
def test_health_knows_both_names_of_a_service(channel, package: str) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in (f"{package}ModelService", f"{package}PredictionService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S).status == 1
    assert failure(health.Check, health_pb2.HealthCheckRequest(service="x"))[0] is MISSING


def test_reflection_lists_the_services(channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=TIMEOUT_S)
    found = {service.name for service in answer.list_services_response.service}
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= found


def test_body_that_is_no_message_is_the_caller_s_error(channel) -> None:
    code, message = failure(channel.unary_unary("/tensorflow.serving.PredictionService/Predict"), b"\xff\xff")
    assert code is INVALID
    assert re.search("not a tensorflow.serving.PredictRequest", message)


def test_deadline_that_is_over_ends_the_call(prediction) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        prediction.Predict(predict({"x": floats(1)}), timeout=0)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
