"""GrpcServer over real sockets: its ports, limits and options, and its end."""

from __future__ import annotations

import asyncio
import os
import socket
import stat

import grpc
import numpy as np
import pytest

from jupyter_tfserve.codec import protos
from jupyter_tfserve.dataplane.grpc_listen import listen_tcp
from jupyter_tfserve.dataplane.grpc_server import GrpcOptions, GrpcServer
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions, ListenOptions
from tests.dataplane.grpc_stand_in import (
    FakePredictor,
    failure,
    request,
    serving,
)


@pytest.fixture
async def client():
    async with serving() as client:
        yield client


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


async def test_connections_are_refused_after_a_stop_when_another_process_holds_the_socket_too():
    server = GrpcServer(None, ListenOptions(), LimitOptions())
    listening = listen_tcp("127.0.0.1", 0, reuse_port=False)
    with listening[0].dup():
        port = await server.start(listening)
        assert server.listening == tuple(listening)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await server.stop(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.close()


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
