"""grpc_health: Check and Watch over real sockets, with the stubs of grpcio-health-checking."""

from __future__ import annotations

import asyncio
import contextlib
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jupyter_tfserve.dataplane.grpc_server import GrpcOptions, GrpcServer
from jupyter_tfserve.options import LimitOptions, ListenOptions

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@contextlib.asynccontextmanager
async def serving(enabled: bool = True):
    options = GrpcOptions(enable_grpc_healthcheck_service=enabled)
    # Health asks nothing of a predictor.
    server = GrpcServer(None, ListenOptions(grpc_port=-1), LimitOptions(), options)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await server.start()}") as channel:
            yield server, health_pb2_grpc.HealthStub(channel)
    finally:
        await server.stop(0)


def asking(service: str = "") -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


async def status(watch) -> int:
    return (await asyncio.wait_for(watch.read(), 20)).status


@pytest.mark.parametrize(
    "service",
    [
        "",
        "ModelService",
        "PredictionService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    ],
)
async def test_service_is_serving_when_known(service):
    async with serving() as (_, stub):
        assert (await stub.Check(asking(service), timeout=20)).status == SERVING


async def test_service_is_not_found_when_unknown():
    async with serving() as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(asking("nobody"), timeout=20)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_check_is_unimplemented_when_the_service_is_off():
    async with serving(enabled=False) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(asking(), timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_status_is_told_when_it_changes():
    async with serving() as (server, stub):
        server.set_serving(False)
        assert (await stub.Check(asking(), timeout=20)).status == NOT_SERVING
        watch, unknown = stub.Watch(asking("PredictionService")), stub.Watch(asking("nobody"))
        assert await status(watch) == NOT_SERVING
        assert await status(unknown) == UNKNOWN
        server.set_serving(False)
        server.set_serving(True)
        assert await status(watch) == SERVING
        server.set_serving(False)
        assert await status(watch) == NOT_SERVING


async def test_watch_ends_with_not_serving_when_the_server_stops():
    """A watcher must not keep a stopping server for its whole grace."""
    async with serving() as (server, stub):
        watch = stub.Watch(asking())
        assert await status(watch) == SERVING
        started = time.monotonic()
        stopping = asyncio.ensure_future(server.stop(60))
        await asyncio.sleep(0)
        server.set_serving(True)
        assert await status(watch) == NOT_SERVING
        assert await asyncio.wait_for(watch.read(), 20) is grpc.aio.EOF
        await asyncio.wait_for(stopping, 20)
        assert time.monotonic() - started < 30


async def test_server_goes_on_when_a_watcher_leaves():
    async with serving() as (server, stub):
        watch, other = stub.Watch(asking()), stub.Watch(asking())
        assert await status(watch) == await status(other) == SERVING
        watch.cancel()
        server.set_serving(False)
        assert await status(other) == NOT_SERVING
