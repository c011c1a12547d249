"""The contract over gRPC with the unmodified tensorflow-serving-api client: model specs, metadata, status, services."""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from jupyter_tfserve.codec import protos
from tests.contract.grpc_requests import (
    BOTH,
    INVALID,
    MISSING,
    TF2,
    TIMEOUT_S,
    TWO,
    classification,
    effective,
    example,
    failure,
    floats,
    predict,
    regression,
    spec,
)

# ModelSpec


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


# GetModelMetadata and GetModelStatus


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


# Services


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
