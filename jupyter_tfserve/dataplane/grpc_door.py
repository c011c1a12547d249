"""gRPC behind keys: strangers are refused before their message is read, callers held to their models and rate.

The interceptor stands before every method of every service where keys are needed, and is not installed elsewhere;
`guarded` is around each method of ours. Which model is asked is seen where the message becomes a ModelSpec.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio

from jupyter_tfserve.codec.protos import MODEL_SERVICE, PREDICTION_SERVICE, SESSION_SERVICE
from jupyter_tfserve.dataplane.auth import CALLER, KeyRing
from jupyter_tfserve.dataplane.grpc_status import GRPC_STATUS, status_details, truncate_message
from jupyter_tfserve.errors import Code, ServingError

OPEN_TO_KEYS: Final = (f"/{PREDICTION_SERVICE}/", f"/{SESSION_SERVICE}/", f"/{MODEL_SERVICE}/GetModelStatus")
"""What a key can open, by how a method begins; configuring and profiling the server it cannot."""

Handler: TypeAlias = Callable[[bytes, Any], Awaitable[bytes]]


class KeyInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc,type-arg,unused-ignore]
    """Refuses who shows no valid key, whatever they ask for; only the service named `public` is for all."""

    def __init__(self, ring: KeyRing, public: str) -> None:
        self._ring = ring
        self._public = f"/{public}/"

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """grpc.aio's hook: the method's handler, or one that refuses."""
        if not details.method.startswith(self._public):
            try:
                self._ring.caller(_authorization(details.invocation_metadata))
            except ServingError as error:
                return _refusing(error)
        return await continuation(details)


def guarded(ring: KeyRing, method: str, handler: Handler) -> Handler:
    """The handler of `/service/method`, asked only by those who may; ServingError for the others."""
    is_open = method.startswith(OPEN_TO_KEYS)

    async def answer(body: bytes, context: Any) -> bytes:
        caller = ring.caller(_authorization(context.invocation_metadata())) if ring.is_used else None
        if caller is None:
            return await handler(body, context)
        if not is_open:
            text = f"No key opens {method}; ask on the engine's own machine"
            raise ServingError(Code.PERMISSION_DENIED, text)
        token = CALLER.set(caller)
        try:
            with caller:
                return await handler(body, context)
        finally:
            CALLER.reset(token)

    return answer


def _authorization(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    for name, value in metadata or ():
        if name == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None


def _refusing(error: ServingError) -> Any:
    """A handler that ends the call. A stream's, since a unary one would be called with the whole message."""

    async def refuse(_requests: AsyncIterator[bytes], context: Any) -> None:
        details = status_details(error.code, error.message, error.hint)
        await context.abort(GRPC_STATUS[error.code], truncate_message(error.message), details)

    return grpc.stream_unary_rpc_method_handler(refuse)
