"""grpc_reflection: what grpcurl and its like are told, over a real socket."""

from __future__ import annotations

import subprocess
import sys

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from jupyter_tfserve.codec.protos import SESSION_SERVICE
from jupyter_tfserve.dataplane.grpc_reflection import REFLECTION_SERVICES
from jupyter_tfserve.dataplane.grpc_server import GrpcOptions, GrpcServer
from jupyter_tfserve.dataplane.profiler import ProfilerService
from jupyter_tfserve.dataplane.profiler_messages import PROFILER_SERVICE
from jupyter_tfserve.dataplane.session_run import SessionService
from jupyter_tfserve.options import LimitOptions, ListenOptions


@pytest.fixture(params=REFLECTION_SERVICES)
async def ask(request):
    """`await ask(...)` is the answer to one ServerReflectionRequest, by either name of the service."""
    options = GrpcOptions(enable_grpc_healthcheck_service=True)
    server = GrpcServer(None, ListenOptions(grpc_port=-1), LimitOptions(), options)
    server.add_service(PROFILER_SERVICE, ProfilerService(list).handlers())
    server.add_service(SESSION_SERVICE, SessionService(None, LimitOptions()).handlers())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await server.start()}") as channel:
        method = channel.stream_stream(
            f"/{request.param}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )

        async def answer(**question):
            asked = [reflection_pb2.ServerReflectionRequest(**question)]
            (response,) = [each async for each in method(asked, timeout=20)]
            return response

        yield answer
    await server.stop(0)


async def test_services_are_listed_when_asked(ask):
    listed = (await ask(list_services="")).list_services_response.service
    assert {service.name for service in listed} == {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.SessionService",
        "tensorflow.ProfilerService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize(
    ("service", "methods"),
    [
        (
            "serving.PredictionService",
            {"Classify", "Regress", "Predict", "MultiInference", "GetModelMetadata"},
        ),
        ("serving.ModelService", {"GetModelStatus", "HandleReloadConfigRequest"}),
        ("serving.SessionService", {"SessionRun"}),
        ("ProfilerService", {"Profile", "Terminate", "Monitor"}),
    ],
)
async def test_methods_and_their_messages_are_described_when_a_service_is_asked_for(ask, service, methods):
    response = await ask(file_containing_symbol=f"tensorflow.{service}")
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(text)
        for text in response.file_descriptor_response.file_descriptor_proto
    ]
    (described,) = [each for file in files for each in file.service if service.endswith(each.name)]
    assert {method.name for method in described.method} == methods
    assert {needed for file in files for needed in file.dependency} <= {file.name for file in files}


async def test_file_of_the_service_is_told_when_a_method_is_asked_for(ask):
    of_method = await ask(file_containing_symbol="tensorflow.serving.PredictionService.Predict")
    of_service = await ask(file_containing_symbol="tensorflow.serving.PredictionService")
    assert of_service.file_descriptor_response.file_descriptor_proto
    assert of_method.file_descriptor_response == of_service.file_descriptor_response


@pytest.mark.parametrize("symbol", ["no.such.Service", "tensorflow.serving.PredictionService.Guess", ""])
async def test_symbol_is_not_found_when_unknown(ask, symbol):
    response = await ask(file_containing_symbol=symbol)
    assert response.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_tensorflow_is_not_imported_when_the_server_is():
    code = (
        "import sys, jupyter_tfserve.dataplane.grpc_server, jupyter_tfserve.codec.json_examples;"
        "sys.exit('tensorflow' in sys.modules or 'tensorflow.python' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
