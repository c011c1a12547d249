"""A gRPC server over a stand-in for the models, asked with the unmodified stubs of tensorflow-serving-api."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from enum import IntEnum

import grpc
import numpy as np
import pytest

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.dataplane.grpc_server import GrpcOptions, GrpcServer
from jupyter_tfserve.errors import Code, not_found
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


def request(x=(2.0,), output_filter=(), **spec) -> protos.PredictRequest:
    message = protos.PredictRequest(output_filter=output_filter)
    message.model_spec.CopyFrom(protos.ModelSpec(**{"name": "m", **spec}))
    encode_tensor(np.array(x, np.float32), message.inputs["x"])
    return message


async def failure(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()
