"""gRPC behind keys: strangers are refused before their message is read, callers held to their models and rate.

`KeyDoor` stands before every method of every service where keys are needed, and is not installed elsewhere; `guarded`
is around each method of ours. Which model is asked is seen where the message becomes a ModelSpec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.codec.protos import MODEL_SERVICE, PREDICTION_SERVICE, SESSION_SERVICE
from jupyter_tfserve.dataplane.auth import CALLER, KeyRing
from jupyter_tfserve.dataplane.grpc_head import CallHead, Handler
from jupyter_tfserve.errors import Code, ServingError

OPEN_TO_KEYS: Final = (f"/{PREDICTION_SERVICE}/", f"/{SESSION_SERVICE}/", f"/{MODEL_SERVICE}/GetModelStatus")
"""What a key can open, by how a method begins; configuring and profiling the server it cannot."""


class GrpcKeyDoor:
    """Refuses who shows no valid key, whatever they ask for; only the service named `public` is for all."""

    def __init__(self, ring: KeyRing, public: str) -> None:
        self._ring = ring
        self._public = f"/{public}/"

    def check(self, head: CallHead) -> None:
        """UNAUTHENTICATED for strangers."""
        if not head.path.startswith(self._public):
            self._ring.caller(_authorization(head.metadata))


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
        QUEUE_CALLER.set(caller.key.id)
        try:
            with caller:
                return await handler(body, context)
        finally:
            CALLER.reset(token)

    return answer


def by_path(services: Mapping[str, Mapping[str, Handler]], ring: KeyRing | None = None) -> dict[str, Handler]:
    """The services' methods by `/service/name`, held to the keys of `ring`."""
    paths = {
        f"/{service}/{name}": handler
        for service, methods in services.items()
        for name, handler in methods.items()
    }
    if ring is None:
        return paths
    return {path: guarded(ring, path, handler) for path, handler in paths.items()}


def _authorization(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    for name, value in metadata or ():
        if name == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None
