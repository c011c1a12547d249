"""GrpcServer over real sockets, spoken to with the unmodified stubs of tensorflow-serving-api."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from dataclasses import dataclass
from enum import IntEnum

import grpc
import numpy as np
import pytest

from jupyter_tfserve.client.grpc_transport import GrpcTransport
from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.status_details import read_hint
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.dataplane.grpc_server import GrpcOptions, GrpcServer
from jupyter_tfserve.errors import Code, ServingError, not_found
from jupyter_tfserve.options import LimitOptions, ListenOptions
from jupyter_tfserve.types import ModelSpec, Signature, Tensors, TensorSpec

X = TensorSpec("x:0", "float", (-1,))
SIGNATURE = Signature("tensorflow/serving/predict", {"x": X}, {"y": X, "same": X})


@dataclass(frozen=True)
class Answer:
    name: str
    version: int
    signature_name: str
    outputs: Tensors
    run_s: float = 0
    traffic: None = None


class State(IntEnum):
    AVAILABLE = 30
    END = 50


@dataclass(frozen=True)
class Status:
    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


class FakePredictor:
    """Half plus two, in versions 1 and 2; records what it was asked, fails as it is told."""

    def __init__(self) -> None:
        self.specs: list[ModelSpec] = []
        self.timeouts: list[float | None] = []
        self.configs: list[protos.ModelServerConfig] = []
        self.error: Exception | None = None
        self.signature = SIGNATURE
        self.blocks = False
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.released = asyncio.Event()

    async def predict(self, spec, bind, timeout_s, watch=None):
        self._asked(spec)
        self.timeouts.append(timeout_s)
        inputs, outputs = bind(self.signature, "serving_default")
        self.entered.set()
        if self.blocks:
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        values = {"y": inputs["x"] / 2 + 2, "same": inputs["x"]}
        return Answer(spec.name, 2, "serving_default", {alias: values[alias] for alias in outputs})

    async def metadata(self, spec, timeout_s):
        self._asked(spec)
        signature_map = protos.SignatureDefMap()
        signature_map.signature_def["serving_default"].inputs["x"].name = "x:0"
        signature_map.signature_def["__saved_model_init_op"].method_name = ""
        return 2, signature_map.SerializeToString()

    def status(self, spec):
        self._asked(spec)
        if not spec.name:
            raise not_found("Could not find any versions of model ")
        return [Status(2, State.AVAILABLE), Status(1, State.END, Code.UNKNOWN, "it broke")]

    async def reload_config(self, config):
        if self.error is not None:
            raise self.error
        self.configs.append(config)

    def _asked(self, spec: ModelSpec) -> None:
        self.specs.append(spec)
        if self.error is not None:
            raise self.error


@dataclass
class Client:
    predictor: FakePredictor
    server: GrpcServer
    port: int
    channel: grpc.aio.Channel

    @property
    def prediction(self):
        return protos.PredictionServiceStub(self.channel)

    @property
    def model(self):
        return protos.ModelServiceStub(self.channel)

    async def send_bytes(self, method: str, body: bytes) -> bytes:
        return await self.channel.unary_unary(f"/tensorflow.serving.{method}")(body, timeout=20)


@contextlib.asynccontextmanager
async def serving(limits: LimitOptions | None = None, grpc_options: GrpcOptions | None = None, **listen):
    predictor = FakePredictor()
    options = ListenOptions(**{"grpc_port": -1, **listen})
    server = GrpcServer(predictor, options, limits or LimitOptions(), grpc_options)
    port = await server.start()
    target = f"unix:{options.grpc_socket_path}" if port == 0 else f"127.0.0.1:{port}"
    try:
        async with grpc.aio.insecure_channel(target) as channel:
            yield Client(predictor, server, port, channel)
    finally:
        await server.stop(0)


@pytest.fixture
async def client():
    async with serving() as client:
        yield client


def request(x=(2.0,), output_filter=(), **spec) -> protos.PredictRequest:
    message = protos.PredictRequest(output_filter=output_filter)
    message.model_spec.CopyFrom(protos.ModelSpec(**{"name": "m", **spec}))
    encode_tensor(np.array(x, np.float32), message.inputs["x"])
    return message


async def failure(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


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


async def test_body_is_refused_when_above_the_limit():
    async with serving(LimitOptions(max_body_bytes=10_000)) as client:
        code, _ = await failure(client.prediction.Predict(request(np.ones(3000)), timeout=20))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await client.prediction.Predict(request(np.ones(2000)), timeout=20)


async def test_call_is_refused_when_too_many_are_in_flight():
    async with serving(LimitOptions(max_connections=1)) as client:
        client.predictor.blocks = True
        first = asyncio.ensure_future(client.prediction.Predict(request(), timeout=20))
        await asyncio.wait_for(client.predictor.entered.wait(), 20)
        code, _ = await failure(client.prediction.Predict(request(), timeout=20))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        client.predictor.released.set()
        await first


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


async def test_channel_argument_replaces_ours_when_it_has_the_same_name():
    arguments = (("grpc.max_receive_message_length", 1000), ("of.nobody", "text"))
    async with serving(grpc_options=GrpcOptions(channel_arguments=arguments)) as client:
        code, _ = await failure(client.prediction.Predict(request(np.ones(1000)), timeout=20))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await client.prediction.Predict(request(), timeout=20)


async def test_start_fails_with_the_port_when_it_is_taken(client):
    second = GrpcServer(client.predictor, ListenOptions(grpc_port=client.port), LimitOptions())
    with pytest.raises(ServingError) as caught:
        await second.start()
    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.message == f"gRPC port {client.port} is already in use"
    await second.stop(0)


async def test_start_fails_when_the_host_is_not_ours():
    server = GrpcServer(FakePredictor(), ListenOptions(host="192.0.2.1", grpc_port=-1), LimitOptions())
    with pytest.raises(ServingError) as caught:
        await server.start()
    assert caught.value.message == "gRPC cannot listen on 192.0.2.1:0"


async def test_port_is_free_again_when_the_server_has_stopped(client):
    await client.server.stop(0)
    with socket.create_server(("127.0.0.1", client.port)):
        pass
    await client.server.stop(0)


async def test_nothing_listens_on_tcp_when_the_port_is_off():
    server = GrpcServer(FakePredictor(), ListenOptions(grpc_port=0), LimitOptions())
    assert await server.start() == 0
    await server.stop(0)


async def test_unix_socket_answers_when_configured(tmp_path):
    path = str(tmp_path / "grpc.sock")
    async with serving(grpc_port=0, grpc_socket_path=path) as client:
        assert client.port == 0
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        response = await client.prediction.Predict(request(), timeout=20)
        assert list(response.outputs["y"].float_val) == [3.0]


async def test_unix_socket_is_taken_over_when_another_server_has_it(tmp_path, caplog):
    """Upstream's own tests start one server after another on one socket, and ask the last."""
    path = str(tmp_path / "grpc.sock")
    async with serving(grpc_socket_path=path) as first:
        async with serving(grpc_port=0, grpc_socket_path=path) as second:
            await second.prediction.Predict(request(), timeout=20)
            assert f"Another server listens on the socket {path}" in caplog.text
            assert second.predictor.specs
            assert not first.predictor.specs
        await first.prediction.Predict(request(), timeout=20)


async def test_unix_socket_is_taken_over_when_it_is_stale(tmp_path):
    path = str(tmp_path / "grpc.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    async with serving(grpc_port=0, grpc_socket_path=path) as client:
        await client.prediction.Predict(request(), timeout=20)


async def test_unix_socket_is_refused_when_its_folder_is_missing(tmp_path):
    listen = ListenOptions(grpc_port=0, grpc_socket_path=str(tmp_path / "none" / "grpc.sock"))
    with pytest.raises(ServingError) as caught:
        await GrpcServer(FakePredictor(), listen, LimitOptions()).start()
    assert caught.value.code is Code.UNAVAILABLE


async def test_call_in_flight_is_answered_when_the_server_stops_with_grace(client):
    client.predictor.blocks = True
    call = asyncio.ensure_future(client.prediction.Predict(request(output_filter=["y"]), timeout=20))
    await asyncio.wait_for(client.predictor.entered.wait(), 20)
    stopping = asyncio.ensure_future(client.server.stop(20))
    await asyncio.sleep(0)
    client.predictor.released.set()
    assert list((await call).outputs["y"].float_val) == [3.0]
    await asyncio.wait_for(stopping, 20)


async def test_call_in_flight_is_cancelled_when_the_grace_is_over(client):
    client.predictor.blocks = True
    call = asyncio.ensure_future(client.prediction.Predict(request(), timeout=20))
    await asyncio.wait_for(client.predictor.entered.wait(), 20)
    await client.server.stop(0.05)
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    await asyncio.wait_for(client.predictor.cancelled.wait(), 20)


async def test_trailing_metadata_tells_the_times_only_when_it_is_asked_to(client):
    told = []
    for metadata in ((), (("x-tfserve-timing", "1"),)):
        call = client.prediction.Predict(request(), timeout=20, metadata=metadata)
        await call
        told.append(dict(await call.trailing_metadata()).get("server-timing"))
    assert told[0] is None
    stages = [stage.partition(";dur=")[0] for stage in told[1].split(", ")]
    assert stages == ["decode", "queue", "batch", "compute", "encode", "total"]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_request_is_answered_when_grpcio_sends_one(client, compression):
    asked = request(np.ones(100_000), ["y"])
    response = await client.prediction.Predict(asked, timeout=20, compression=compression)
    assert len(response.outputs["y"].float_val) == 100_000


async def test_bomb_is_refused_when_it_inflates_above_the_limit():
    async with serving(LimitOptions(max_body_bytes=300_000)) as client:
        asked = request(np.zeros(100_000))
        code, _ = await failure(
            client.prediction.Predict(asked, timeout=20, compression=grpc.Compression.Gzip)
        )
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await client.prediction.Predict(request(np.zeros(10_000)), compression=grpc.Compression.Gzip)


async def test_call_is_refused_when_it_sends_another_number_of_messages_than_one(client):
    predict = client.channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
    body = request().SerializeToString()
    for sent in ([], [body, body]):
        call = predict(iter(sent), timeout=20)
        code, _ = await failure(call)
        assert code is grpc.StatusCode.UNIMPLEMENTED
    assert await predict(iter([body]), timeout=20)


async def test_answer_is_refused_when_it_is_larger_than_an_argument_allows():
    arguments = (("grpc.max_send_message_length", 1000),)
    async with serving(grpc_options=GrpcOptions(channel_arguments=arguments)) as client:
        code, details = await failure(client.prediction.Predict(request(np.ones(1000)), timeout=20))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in details


async def test_many_calls_are_answered_when_one_channel_sends_more_than_its_streams():
    arguments = (("grpc.max_concurrent_streams", 10),)
    async with serving(grpc_options=GrpcOptions(channel_arguments=arguments)) as client:
        calls = [client.prediction.Predict(request([float(n)], ["y"]), timeout=20) for n in range(200)]
        answers = await asyncio.gather(*calls)
        assert [answer.outputs["y"].float_val[0] for answer in answers] == [n / 2 + 2 for n in range(200)]


async def test_server_answers_over_ipv6_when_its_host_is():
    try:
        async with serving(host="::1") as client:
            async with grpc.aio.insecure_channel(f"[::1]:{client.port}") as channel:
                await protos.PredictionServiceStub(channel).Predict(request(), timeout=20)
            assert client.port
    except ServingError:
        pytest.skip("this machine has no IPv6")


async def test_argument_without_a_meaning_is_named_in_the_log(caplog):
    arguments = (("grpc.lb_policy_name", "grpclb"),)
    async with serving(grpc_options=GrpcOptions(channel_arguments=arguments)):
        pass
    assert "grpc.lb_policy_name has no meaning for this server" in caplog.text
