"""grpc.health.v1.Health: whether the server takes predictions, asked for once or watched.

Our own rather than grpcio-health-checking's servicer, whose watchers never end: a server that stops would
wait for them as long as its grace lasts. The messages are that package's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from jupyter_tfserve.codec.protos import MODEL_SERVICE, PREDICTION_SERVICE
from jupyter_tfserve.dataplane.grpc_edge import parse_message
from jupyter_tfserve.dataplane.grpc_status import GRPC_STATUS
from jupyter_tfserve.errors import ServingError

HEALTH_SERVICE: Final = "grpc.health.v1.Health"
KNOWN_SERVICES: Final = frozenset(
    # Upstream registers the names without their package; a client that follows the protocol sends them whole.
    ("", "ModelService", "PredictionService", MODEL_SERVICE, PREDICTION_SERVICE)
)


class HealthService:
    """The health of all services together: they live and end as one. Belongs to the server's loop."""

    def __init__(self, is_serving: bool = True) -> None:
        self._is_serving = is_serving
        self._is_closed = False
        self._changed = asyncio.Event()

    def generic_handler(self) -> Any:
        """What a grpc.aio server is given."""
        # Bytes come in as they are: grpcio's answer to those that are no message is UNKNOWN and an exception's text.
        messages = {"response_serializer": HealthCheckResponse.SerializeToString}
        return grpc.method_handlers_generic_handler(
            HEALTH_SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self._check, **messages),
                "Watch": grpc.unary_stream_rpc_method_handler(self._watch, **messages),
            },
        )

    def set_serving(self, is_serving: bool) -> None:
        """SERVING from now on, or NOT_SERVING; who watches is told. Nothing after `close` counts."""
        self._is_serving = is_serving and not self._is_closed
        self._wake()

    def close(self) -> None:
        """NOT_SERVING for good; watchers are told so and their calls end."""
        self._is_serving, self._is_closed = False, True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _status(self, service: str) -> Any:
        if service not in KNOWN_SERVICES:
            return HealthCheckResponse.SERVICE_UNKNOWN
        return HealthCheckResponse.SERVING if self._is_serving else HealthCheckResponse.NOT_SERVING

    async def _check(self, body: bytes, context: Any) -> Any:
        request = await _parsed(body, context)
        status = self._status(request.service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "service name unknown")
        return HealthCheckResponse(status=status)

    async def _watch(self, body: bytes, context: Any) -> AsyncIterator[Any]:
        request = await _parsed(body, context)
        told = None
        while True:
            changed = self._changed
            status = self._status(request.service)
            if status != told:
                yield HealthCheckResponse(status=status)
                told = status
            elif self._is_closed:
                return
            else:
                await changed.wait()


async def _parsed(body: bytes, context: Any) -> Any:
    """The request; ends the call with INVALID_ARGUMENT if it is none."""
    try:
        return parse_message(HealthCheckRequest, body)
    except ServingError as error:
        await context.abort(GRPC_STATUS[error.code], error.message)
