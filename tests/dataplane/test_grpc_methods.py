"""What the gRPC methods answer and refuse, asked over real sockets with the stubs of tensorflow-serving-api."""

from __future__ import annotations

import asyncio
import logging

import grpc
import numpy as np
import pytest

from jupyter_tfserve.client.grpc_transport import GrpcTransport
from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.status_details import read_hint
from jupyter_tfserve.dataplane.grpc_server import GrpcOptions
from jupyter_tfserve.errors import Code, ServingError, not_found
from jupyter_tfserve.types import ModelSpec, Signature
from tests.dataplane.grpc_stand_in import (
    X,
    failure,
    request,
    serving,
)


@pytest.fixture
async def client():
    async with serving() as client:
        yield client


async def test_predict_answers_with_the_version_when_all_is_well(client):
    response = await client.prediction.Predict(request(output_filter=["y"]), timeout=20)
    assert list(response.outputs) == ["y"]
    assert list(response.outputs["y"].float_val) == [3.0]
    assert response.model_spec.name == "m"
    assert response.model_spec.version.value == 2
    assert response.model_spec.signature_name == "serving_default"


async def test_predict_carries_a_large_tensor_when_it_is_under_the_limit(client):
    """4 MB is gRPC's own default bound; ours is max_body_bytes."""
    response = await client.prediction.Predict(request(np.ones(900_000), ["y"]), timeout=20)
    assert len(response.outputs["y"].float_val) == 900_000


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ModelSpec("m")),
        ({"version": {"value": 0}}, ModelSpec("m", version=0)),
        ({"version": {"value": 7}}, ModelSpec("m", version=7)),
        ({"version_label": "stable"}, ModelSpec("m", label="stable")),
        ({"version_label": ""}, ModelSpec("m", label="")),
        ({"signature_name": "other"}, ModelSpec("m", signature_name="other")),
    ],
    ids=str,
)
async def test_model_spec_reaches_the_predictor_when_sent(client, spec, expected):
    await client.prediction.Predict(request(**spec), timeout=20)
    assert client.predictor.specs == [expected]


async def test_predict_is_refused_when_the_model_is_not_named(client):
    call = client.prediction.Predict(protos.PredictRequest(), timeout=20)
    assert await failure(call) == (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    call = client.prediction.Predict(request(name=""), timeout=20)
    assert await failure(call) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "ModelSpec has no name specified.",
    )
    assert client.predictor.specs == []


async def test_predict_tells_the_callers_fault_when_inputs_do_not_fit(client):
    wrong = request()
    wrong.inputs["x"].tensor_content = b"1"
    code, details = await failure(client.prediction.Predict(wrong, timeout=20))
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "tensor parsing error: x")


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
async def test_status_is_the_predictors_when_it_raises(client, code):
    client.predictor.error = ServingError(code, "the reason")
    status, details = await failure(client.prediction.Predict(request(), timeout=20))
    assert (status.value[0], details) == (code, "the reason")


@pytest.mark.parametrize(
    ("hint", "read"), [("try that", "try that"), (None, None), ("é" * 5000, "é" * 512 + "...TRUNCATED")]
)
async def test_hint_is_in_the_details_when_the_error_has_one(client, hint, read):
    client.predictor.error = ServingError(Code.NOT_FOUND, "\n" * 5000, hint)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.prediction.Predict(request(), timeout=20)
    assert caught.value.details() == "\n" * 1024 + "...TRUNCATED"
    details = dict(caught.value.trailing_metadata()).get("grpc-status-details-bin")
    assert (None if details is None else read_hint(details)) == read


async def test_details_tell_what_is_wanted_when_inputs_do_not_fit(client):
    wrong = request()
    wrong.inputs["y"].CopyFrom(wrong.inputs["x"])
    del wrong.inputs["x"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.prediction.Predict(wrong, timeout=20)
    hint = read_hint(dict(caught.value.trailing_metadata())["grpc-status-details-bin"])
    assert hint is not None
    assert "Fix: rename 'y' to 'x'" in hint


async def test_hint_reaches_our_own_client_when_a_call_fails(client):
    client.predictor.error = not_found("no such model", "Serve it first")
    transport = GrpcTransport(f"127.0.0.1:{client.port}", {})
    with pytest.raises(ServingError) as caught:
        await asyncio.to_thread(transport.metadata, ModelSpec("m"), 20)
    transport.close()
    assert (caught.value.message, caught.value.hint) == ("no such model", "Serve it first")


async def test_status_message_is_truncated_when_long(client):
    client.predictor.error = ServingError(Code.NOT_FOUND, "x" * 5000)
    _, details = await failure(client.prediction.Predict(request(), timeout=20))
    assert details == "x" * 1024 + "...TRUNCATED"


async def test_caller_learns_nothing_of_the_inside_when_the_predictor_is_broken(client, caplog):
    client.predictor.error = KeyError("/secret/path")
    with caplog.at_level(logging.ERROR):
        code, details = await failure(client.prediction.Predict(request(), timeout=20))
    assert (code, details) == (grpc.StatusCode.INTERNAL, "The server failed to answer this request")
    assert "/secret/path" in caplog.text
    client.predictor.error = None
    await client.prediction.Predict(request(), timeout=20)


@pytest.mark.parametrize(
    "method",
    [
        "PredictionService/Predict",
        "PredictionService/Classify",
        "PredictionService/Regress",
        "PredictionService/MultiInference",
        "PredictionService/GetModelMetadata",
        "ModelService/GetModelStatus",
        "ModelService/HandleReloadConfigRequest",
    ],
)
async def test_malformed_bytes_are_the_callers_fault_when_no_message_parses(client, method):
    code, details = await failure(client.send_bytes(method, b"\xff\xff\xff"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("The request body is not a tensorflow.serving.")
    assert details.endswith("Request")


async def test_method_is_unimplemented_when_unknown(client):
    code, _ = await failure(client.send_bytes("SessionService/SessionRun", b""))
    assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_time_left_reaches_the_predictor_when_the_client_sets_a_deadline(client):
    await client.prediction.Predict(request(), timeout=20)
    await client.prediction.Predict(request())
    assert 10 < client.predictor.timeouts[0] < 21  # gRPC rounds a timeout up on its way
    assert client.predictor.timeouts[1] is None


async def test_prediction_is_cancelled_when_the_client_cancels(client):
    """Only that call's work: another one in flight is still answered."""
    client.predictor.blocks = True
    call = client.prediction.Predict(request())
    await asyncio.wait_for(client.predictor.entered.wait(), 20)
    client.predictor.entered.clear()
    other = asyncio.ensure_future(client.prediction.Predict(request([4.0], ["y"]), timeout=20))
    await asyncio.wait_for(client.predictor.entered.wait(), 20)
    call.cancel()
    await asyncio.wait_for(client.predictor.cancelled.wait(), 20)
    client.predictor.released.set()
    assert list((await other).outputs["y"].float_val) == [4.0]


async def test_prediction_is_cancelled_when_the_deadline_passes(client):
    client.predictor.blocks = True
    await asyncio.wait_for(client.channel.channel_ready(), 20)
    code, _ = await failure(client.prediction.Predict(request(), timeout=1))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(client.predictor.cancelled.wait(), 20)


async def test_metadata_holds_every_signature_when_asked(client):
    message = protos.GetModelMetadataRequest(metadata_field=["signature_def"])
    message.model_spec.name = "m"
    response = await client.prediction.GetModelMetadata(message, timeout=20)
    assert (response.model_spec.name, response.model_spec.version.value) == ("m", 2)
    assert not response.model_spec.signature_name
    signature_map = protos.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signature_map)
    assert set(signature_map.signature_def) == {"serving_default", "__saved_model_init_op"}


@pytest.mark.parametrize(
    ("fields", "name", "message"),
    [
        (["signature_def"], None, "Missing ModelSpec"),
        ([], None, "Missing ModelSpec"),
        ([], "", "GetModelMetadataRequest must specify at least one metadata_field"),
        (["signature_def", "x"], "", "Metadata field x is not supported"),
        (["signature_def"], "", "ModelSpec has no name specified."),
    ],
)
async def test_metadata_is_refused_in_order_when_the_request_is_wrong(client, fields, name, message):
    asked = protos.GetModelMetadataRequest(metadata_field=fields)
    if name is not None:
        asked.model_spec.name = name
        asked.model_spec.SetInParent()
    call = client.prediction.GetModelMetadata(asked, timeout=20)
    assert await failure(call) == (grpc.StatusCode.INVALID_ARGUMENT, message)


async def test_status_lists_versions_with_state_and_error_when_asked(client):
    message = protos.GetModelStatusRequest()
    message.model_spec.name = "m"
    response = await client.model.GetModelStatus(message, timeout=20)
    first, second = response.model_version_status
    assert (first.version, first.state, first.status.error_code) == (2, 30, 0)
    assert (second.version, second.state) == (1, 50)
    assert (second.status.error_code, second.status.error_message) == (2, "it broke")


async def test_status_is_refused_when_no_model_is_named(client):
    call = client.model.GetModelStatus(protos.GetModelStatusRequest(), timeout=20)
    assert await failure(call) == (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    empty = protos.GetModelStatusRequest()
    empty.model_spec.SetInParent()
    call = client.model.GetModelStatus(empty, timeout=20)
    assert await failure(call) == (
        grpc.StatusCode.NOT_FOUND,
        "Could not find any versions of model ",
    )


async def test_config_reaches_the_predictor_when_it_is_a_model_config_list(client):
    message = protos.ReloadConfigRequest(metric_names=["/some/metric"])
    message.config.model_config_list.config.add(name="m", base_path="/models/m")
    response = await client.model.HandleReloadConfigRequest(message, timeout=20)
    assert response.status.error_code == 0
    assert [(metric.name, metric.int64_value_increase) for metric in response.metric] == [("/some/metric", 0)]
    assert client.predictor.configs == [message.config]


async def test_config_is_taken_when_its_list_is_empty(client):
    message = protos.ReloadConfigRequest()
    message.config.model_config_list.SetInParent()
    await client.model.HandleReloadConfigRequest(message, timeout=20)
    assert len(client.predictor.configs) == 1


async def test_config_is_refused_when_it_is_no_model_config_list(client):
    expected = (
        grpc.StatusCode.INVALID_ARGUMENT,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. "
        "Only ModelConfigList is currently supported",
    )
    custom = protos.ReloadConfigRequest()
    custom.config.custom_model_config.SetInParent()
    for message in (protos.ReloadConfigRequest(), custom):
        assert await failure(client.model.HandleReloadConfigRequest(message, timeout=20)) == expected
    assert client.predictor.configs == []


async def test_reload_fails_with_the_status_when_a_model_fails(client):
    client.predictor.error = ServingError(Code.NOT_FOUND, "no such folder")
    message = protos.ReloadConfigRequest()
    message.config.model_config_list.SetInParent()
    call = client.model.HandleReloadConfigRequest(message, timeout=20)
    assert await failure(call) == (grpc.StatusCode.NOT_FOUND, "no such folder")


async def test_tensors_are_sent_as_content_when_the_option_is_on():
    options = GrpcOptions(enable_serialization_as_tensor_content=True)
    async with serving(grpc_options=options) as client:
        response = await client.prediction.Predict(request(output_filter=["y"]), timeout=20)
        assert response.outputs["y"].tensor_content == np.float32(3).tobytes()
        assert not response.outputs["y"].float_val


async def test_predict_checks_the_method_name_only_when_the_option_is_on(client):
    odd = Signature("some/method", {"x": X}, {"y": X})
    client.predictor.signature = odd
    await client.prediction.Predict(request(), timeout=20)
    options = GrpcOptions(enable_signature_method_name_check=True)
    async with serving(grpc_options=options) as checking:
        await checking.prediction.Predict(request(), timeout=20)
        checking.predictor.signature = odd
        assert await failure(checking.prediction.Predict(request(), timeout=20)) == (
            grpc.StatusCode.INTERNAL,
            "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
            "tensorflow/serving/classify, tensorflow/serving/regress}. Was: some/method",
        )


async def test_trailing_metadata_tells_the_times_only_when_it_is_asked_to(client):
    told = []
    for metadata in ((), (("x-tfserve-timing", "1"),)):
        call = client.prediction.Predict(request(), timeout=20, metadata=metadata)
        await call
        told.append(dict(await call.trailing_metadata()).get("server-timing"))
    assert told[0] is None
    stages = [stage.partition(";dur=")[0] for stage in told[1].split(", ")]
    assert stages == ["decode", "queue", "batch", "compute", "encode", "total"]
