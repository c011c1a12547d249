"""gRPC behind keys: every method of every service, without a key, with a wrong one, and with one for a model."""

from __future__ import annotations

import contextlib

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from jupyter_tfserve.codec import protos
from jupyter_tfserve.dataplane.auth import KeyRing
from jupyter_tfserve.dataplane.grpc_server import GrpcOptions, GrpcServer
from jupyter_tfserve.dataplane.predict import Prediction
from jupyter_tfserve.errors import not_found
from jupyter_tfserve.lifecycle.keys import new_key
from jupyter_tfserve.lifecycle.limits import FlowLimits
from jupyter_tfserve.options import LimitOptions, ListenOptions

PREDICTION, MODEL = f"/{protos.PREDICTION_SERVICE}", f"/{protos.MODEL_SERVICE}"
SPEC = protos.PredictRequest()
SPEC.model_spec.name = "m"
TASKS = protos.MultiInferenceRequest()
TASKS.tasks.add().model_spec.name = "m"
STATUS = protos.GetModelStatusRequest()
STATUS.model_spec.name = "m"
METADATA = protos.GetModelMetadataRequest(metadata_field=["signature_def"])
METADATA.model_spec.name = "m"
CONFIG = protos.ReloadConfigRequest()
CONFIG.config.model_config_list.SetInParent()

OF_A_MODEL = {
    f"{PREDICTION}/Predict": SPEC,
    f"{PREDICTION}/Classify": SPEC,
    f"{PREDICTION}/Regress": SPEC,
    f"{PREDICTION}/MultiInference": TASKS,
    f"{PREDICTION}/GetModelMetadata": METADATA,
    f"{MODEL}/GetModelStatus": STATUS,
    "/tensorflow.serving.SessionService/SessionRun": SPEC,
}
OF_THE_SERVER = {
    f"{MODEL}/HandleReloadConfigRequest": CONFIG,
    "/tensorflow.ProfilerService/Profile": None,
}
UNKNOWN = "/no.such.Service/Method"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
PUBLIC = "/grpc.health.v1.Health/Check"


class Nothing:
    """A predictor that finds no model, and counts who came so far."""

    request_log = None

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def predict(self, spec, bind, timeout_s, **_) -> Prediction:
        self._find(spec)

    @contextlib.asynccontextmanager
    async def held(self, spec, timeout_s):
        self._find(spec)
        yield

    async def metadata(self, spec, timeout_s):
        self._find(spec)

    def status(self, spec):
        self._find(spec)

    async def reload_config(self, config):
        self.asked.append("config")

    def _find(self, spec):
        self.asked.append(spec.name)
        raise not_found("no such model")


@contextlib.asynccontextmanager
async def served(required: bool, *keys):
    from jupyter_tfserve.dataplane.session_run import SessionService

    ring, predictor = KeyRing(required), Nothing()
    ring.configure(keys)
    options = GrpcOptions(enable_grpc_healthcheck_service=True)
    server = GrpcServer(predictor, ListenOptions(grpc_port=-1), LimitOptions(), options, keys=ring)
    server.add_service(protos.SESSION_SERVICE, SessionService(predictor, LimitOptions()).handlers())

    async def profile(body, context):
        predictor.asked.append("profile")
        return b""

    server.add_service("tensorflow.ProfilerService", {"Profile": profile})
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel, predictor, ring, server
    finally:
        await server.stop(0)


async def code_of(channel, method: str, message=None, *metadata: tuple[str, str]) -> grpc.StatusCode:
    body = b"" if message is None else message.SerializeToString()
    try:
        await channel.unary_unary(method)(body, metadata=metadata, timeout=20)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def reflection_code(channel, *metadata: tuple[str, str]) -> grpc.StatusCode:
    request = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    call = channel.stream_stream(REFLECTION)(iter([request]), metadata=metadata, timeout=20)
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for _ in call:
            pass
    return await call.code()


def make_key(*models: str, **limits):
    text, kept = new_key(models, "", 0.0, None, FlowLimits(**limits))
    return ("authorization", f"Bearer {text}"), kept


async def test_every_method_of_ours_is_in_the_lists_above():
    async with served(True) as (_, _predictor, _ring, server):
        known = server.paths()
    ours = {method for method in known if method.startswith("/tensorflow")}
    assert ours == OF_A_MODEL.keys() | OF_THE_SERVER.keys()
    assert {method.split("/")[1] for method in known - ours} == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", ""),),
        (("authorization", "Bearer wrong"),),
        (("authorization", f"Bearer tfserve_{'0' * 12}_{'x' * 43}"),),
        (("authorization", "Bearer " + "x" * 10_000),),
    ],
)
async def test_every_method_but_health_is_closed_to_strangers(metadata):
    """S2: `PUBLIC` is the public one, and no other."""
    async with served(True) as (channel, predictor, *_):
        for method, message in {**OF_A_MODEL, **OF_THE_SERVER, UNKNOWN: None}.items():
            code = await code_of(channel, method, message, *metadata)
            assert code is grpc.StatusCode.UNAUTHENTICATED, method
        assert await reflection_code(channel, *metadata) is grpc.StatusCode.UNAUTHENTICATED
        assert await code_of(channel, PUBLIC, None, *metadata) is grpc.StatusCode.OK
        assert predictor.asked == []


@pytest.mark.parametrize("required", [True, False])
async def test_key_opens_its_model_and_not_the_server(required):
    mine, kept = make_key("m")
    other, kept_other = make_key("other")
    async with served(required, kept, kept_other) as (channel, predictor, *_):
        for method, message in OF_A_MODEL.items():
            assert await code_of(channel, method, message, mine) is grpc.StatusCode.NOT_FOUND, method
            assert predictor.asked == ["m"]
            predictor.asked.clear()
            assert await code_of(channel, method, message, other) is grpc.StatusCode.PERMISSION_DENIED, method
        for method, message in OF_THE_SERVER.items():
            assert await code_of(channel, method, message, mine) is grpc.StatusCode.PERMISSION_DENIED, method
        assert predictor.asked == []
        assert await reflection_code(channel, mine) is grpc.StatusCode.OK


async def test_everything_is_open_where_no_key_is_needed_and_none_is_shown():
    _, kept = make_key("other")
    async with served(False, kept) as (channel, predictor, *_):
        for method, message in OF_A_MODEL.items():
            assert await code_of(channel, method, message) is grpc.StatusCode.NOT_FOUND, method
        assert await code_of(channel, f"{MODEL}/HandleReloadConfigRequest", CONFIG) is grpc.StatusCode.OK
        assert predictor.asked == ["m"] * len(OF_A_MODEL) + ["config"]


async def test_revoked_key_is_refused_on_the_open_channel():
    mine, kept = make_key("m")
    async with served(True, kept) as (channel, _, ring, _server):
        assert await code_of(channel, f"{MODEL}/GetModelStatus", STATUS, mine) is grpc.StatusCode.NOT_FOUND
        ring.configure([])
        code = await code_of(channel, f"{MODEL}/GetModelStatus", STATUS, mine)
        assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_key_over_its_rate_is_told_when_to_come_back():
    mine, kept = make_key("m", requests_per_second=0.01)
    async with served(True, kept) as (channel, *_):
        method = f"{MODEL}/GetModelStatus"
        assert await code_of(channel, method, STATUS, mine) is grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(method)(STATUS.SerializeToString(), metadata=(mine,), timeout=20)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        (wait_ms,) = [v for k, v in caught.value.trailing_metadata() if k == "grpc-retry-pushback-ms"]
        assert 90_000 <= int(wait_ms) <= 100_000
