"""grpc.health.v1.Health: whether the server takes predictions, asked for once or watched.

Our own rather than grpcio-health-checking's servicer, whose watchers never end: a server that stops would
wait for them as long as its grace lasts. The messages are that package's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from jupyter_tfserve.codec.protos import MODEL_SERVICE, PREDICTION_SERVICE
from jupyter_tfserve.dataplane.grpc_edge import Handler, StreamHandler, parse_message, serialize
from jupyter_tfserve.errors import Code, ServingError

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

    def handlers(self) -> dict[str, Handler]:
        """The unary method by its path."""
        return {f"/{HEALTH_SERVICE}/Check": self._check}

    def stream_handlers(self) -> dict[str, StreamHandler]:
        """The streaming method by its path."""
        return {f"/{HEALTH_SERVICE}/Watch": StreamHandler(self._watch, takes_one=True)}

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

    async def _check(self, body: bytes, _context: Any) -> bytes:
        status = self._status(parse_message(HealthCheckRequest, body).service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            raise ServingError(Code.NOT_FOUND, "service name unknown")
        return serialize(HealthCheckResponse(status=status))

    async def _watch(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        request = parse_message(HealthCheckRequest, await anext(messages))
        told = None
        while True:
            changed = self._changed
            status = self._status(request.service)
            if status != told:
                yield serialize(HealthCheckResponse(status=status))
                told = status
            elif self._is_closed:
                return
            else:
                await changed.wait()
