"""The targets of `test_fuzz.py`, run by atheris: `python -m tests.reliability.fuzz_targets NAME -runs=N`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterable

import atheris

with atheris.instrument_imports(include=["jupyter_tfserve"]):
    from jupyter_tfserve.codec import json_examples, json_predict, protos, tensor_proto
    from jupyter_tfserve.dataplane.grpc_application import CallLimits, GrpcApplication
    from jupyter_tfserve.dataplane.grpc_head import HeadParser
    from jupyter_tfserve.dataplane.http2.connection import Connection
    from jupyter_tfserve.dataplane.http2.frames import PREFACE, settings_frame
    from jupyter_tfserve.dataplane.http2.options import Http2Options
    from jupyter_tfserve.dataplane.http2.service import Http2Service
    from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
    from jupyter_tfserve.dataplane.http_protocol import HttpProtocol
    from jupyter_tfserve.dataplane.http_service import HttpService
    from jupyter_tfserve.errors import ServingError
    from jupyter_tfserve.options import LimitOptions
    from jupyter_tfserve.types import Signature, TensorSpec

from google.protobuf.message import DecodeError

LIMITS = LimitOptions(max_tensor_bytes=2**20, max_body_bytes=2**16)
SIGNATURE = Signature(
    "tensorflow/serving/predict",
    {"x": TensorSpec("x:0", "float", (-1, 2)), "s": TensorSpec("s:0", "string", (-1,))},
    {"y": TensorSpec("y:0", "float", (-1,))},
)


def read_json(data: bytes) -> None:
    """A REST body, as a prediction and as Examples."""
    with contextlib.suppress(ServingError):
        json_predict.bind_predict(json_predict.parse_predict(data, LIMITS), SIGNATURE, LIMITS)
    with contextlib.suppress(ServingError):
        json_examples.parse_examples(data, LIMITS)


def read_tensor(data: bytes) -> None:
    """The bytes of a TensorProto."""
    proto = protos.TensorProto()
    with contextlib.suppress(DecodeError, ServingError):
        proto.ParseFromString(data)
        tensor_proto.decode_tensor(proto, LIMITS)


class Wire(asyncio.Transport):
    """Takes what the server writes, and closes at once when told to."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        assert b"".join(list_of_data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


async def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, request.body[:10], "text/plain")


LOOP = asyncio.new_event_loop()


def read_http(data: bytes) -> None:
    """The bytes of a connection, in two pieces."""

    async def serve() -> None:
        protocol = HttpProtocol(HttpService(answer, LIMITS, True))
        wire = Wire()
        protocol.connection_made(wire)
        for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
            if piece and not wire.is_closed:
                protocol.data_received(piece)
        await asyncio.sleep(0)
        protocol.connection_lost(None)

    LOOP.run_until_complete(serve())


async def echo(body: bytes, _context: object) -> bytes:
    return body


async def echo_all(messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for body in messages:
        yield body


def read_http2(data: bytes) -> None:
    """What a gRPC peer sends after its settings, in two pieces."""

    async def serve() -> None:
        parser = HeadParser({"/a": echo}, {"/b": echo_all}, 1000, 20)
        application = GrpcApplication(parser, CallLimits(1000, 1000, 5000, 10))
        connection = Connection(Http2Service(application, Http2Options(LIMITS)))
        wire = Wire()
        connection.connection_made(wire)
        connection.data_received(PREFACE + settings_frame({}))
        for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
            if piece and not wire.is_closed:
                connection.data_received(piece)
        for _ in range(5):
            await asyncio.sleep(0)
        connection.check_deadlines(connection.now + 100)
        connection.connection_lost(None)
        await asyncio.sleep(0)

    LOOP.run_until_complete(serve())


TARGETS = {"json": read_json, "tensor": read_tensor, "http": read_http, "http2": read_http2}

if __name__ == "__main__":
    chosen = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, chosen)
    atheris.Fuzz()
