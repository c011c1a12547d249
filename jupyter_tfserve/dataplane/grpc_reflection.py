"""Server reflection: tools such as grpcurl ask a server for its services and their messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection, reflection_pb2

from jupyter_tfserve.dataplane.grpc_edge import StreamHandler, serialize

REFLECTION_SERVICES: Final = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
"""`v1` and `v1alpha` differ in their name alone, so one servicer answers both."""


class _Servicer(reflection.aio.ReflectionServicer):  # type: ignore[misc,name-defined,unused-ignore]
    """The package's servicer, which does not find methods: protobuf's pool knows files by their top-level names."""

    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        """The file of a symbol; for `package.Service.Method` that of its service."""
        answer = super()._file_containing_symbol(request, fully_qualified_name)
        if not answer.HasField("error_response"):
            return answer
        service, _, method = fully_qualified_name.rpartition(".")
        try:
            known = method in self._pool.FindServiceByName(service).methods_by_name
        except KeyError:
            return answer
        return super()._file_containing_symbol(request, service) if known else answer


def reflection_handlers(services: Iterable[str]) -> dict[str, StreamHandler]:
    """The streaming method by its paths; descriptors come from the generated messages that are in use."""
    servicer = _Servicer((*services, reflection.SERVICE_NAME))

    async def answer(messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        requests = (_request(body) async for body in messages)
        async for response in servicer.ServerReflectionInfo(requests, None):
            yield serialize(response)

    return {f"/{service}/ServerReflectionInfo": StreamHandler(answer) for service in REFLECTION_SERVICES}


def _request(body: bytes) -> Any:
    """The request. Bytes that are none ask for nothing, which the servicer answers with INVALID_ARGUMENT."""
    try:
        return reflection_pb2.ServerReflectionRequest.FromString(body)
    except DecodeError:
        return reflection_pb2.ServerReflectionRequest()
