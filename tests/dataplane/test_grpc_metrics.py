"""The metrics of gRPC calls, and what a reload tells of metrics, over a real socket."""

from __future__ import annotations

import contextlib

import grpc
import numpy as np
import pytest

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.dataplane.grpc_server import GrpcServer
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.dataplane.predict import Prediction
from jupyter_tfserve.errors import not_found
from jupyter_tfserve.options import LimitOptions, ListenOptions
from jupyter_tfserve.types import Signature, TensorSpec

SPEC = {"x": TensorSpec("x:0", "float", (-1,))}


class Doubler:
    """Knows one model; its reload warms a version up, as far as the metrics are concerned."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def predict(self, spec, bind, timeout_s, *_, **__):
        if spec.name != "m":
            raise not_found("Servable not found")
        inputs, _ = bind(Signature("", SPEC, {"y": SPEC["x"]}), "serving_default")
        return Prediction("m", 1, "serving_default", {"y": inputs["x"] * 2}, run_s=0.25)

    async def reload_config(self, _config):
        self._metrics.warmed_up("/m/2", None, 0.1, 5)


@contextlib.asynccontextmanager
async def serving(metrics: Metrics):
    server = GrpcServer(Doubler(metrics), ListenOptions(grpc_port=-1), LimitOptions(), None, metrics)
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


def request(model: str) -> protos.PredictRequest:
    message = protos.PredictRequest()
    message.model_spec.name = model
    encode_tensor(np.float32([1, 2]), message.inputs["x"])
    return message


async def test_predict_is_counted_with_its_status_and_timed_when_it_succeeds():
    metrics = Metrics()
    async with serving(metrics) as channel:
        stub = protos.PredictionServiceStub(channel)
        await stub.Predict(request("m"), timeout=20)
        for wrong in (request("other"), protos.PredictRequest()):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Predict(wrong, timeout=20)
    ((model, api, latency, runtime),) = metrics.grpc.answered()
    assert (model, api, sum(latency.counts)) == ("m", "Predict", 1)
    assert runtime.sum == 250_000
    assert metrics.grpc.failures.items() == {("other", "NOT_FOUND"): 1, ("", "INVALID_ARGUMENT"): 1}


async def test_reload_tells_by_how_much_a_metric_grew():
    metrics = Metrics()
    metrics.warmed_up("/m/2", None, 0.1, 2)
    read, unknown = "/tensorflow/serving/model_warmup_records_read", "/no/such/metric"
    message = protos.ReloadConfigRequest(metric_names=[read, unknown])
    message.config.model_config_list.SetInParent()
    async with serving(metrics) as channel:
        response = await protos.ModelServiceStub(channel).HandleReloadConfigRequest(message, timeout=20)
    assert [(one.name, one.int64_value_increase) for one in response.metric] == [(read, 5), (unknown, 0)]
