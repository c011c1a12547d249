"""The least that a gRPC server in Python can do: takes bytes, answers always the same; grpcio's threads or grpc.aio."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

SERVICE, METHOD = "tensorflow.serving.PredictionService", "Predict"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def _handler(answer: Any) -> Any:
    return grpc.method_handlers_generic_handler(
        SERVICE, {METHOD: grpc.unary_unary_rpc_method_handler(answer)}
    )


def serve_threads(address: str, body: bytes) -> None:
    """grpcio's threaded server, ten threads as in its examples."""
    server = grpc.server(ThreadPoolExecutor(max_workers=10), options=OPTIONS)
    server.add_generic_rpc_handlers((_handler(lambda _request, _context: body),))
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


async def serve_aio(address: str, body: bytes) -> None:
    """grpc.aio on the standard event loop."""

    async def answer(_request: bytes, _context: Any) -> bytes:
        return body

    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((_handler(answer),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    kind, where, file = sys.argv[1:]
    constant = Path(file).read_bytes()
    if kind == "aio":
        asyncio.run(serve_aio(where, constant))
    else:
        serve_threads(where, constant)
