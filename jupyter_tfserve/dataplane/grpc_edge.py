"""The rim of every gRPC method: bytes to message, errors to status.

Handlers get raw bytes, so that a body which is no message is the caller's INVALID_ARGUMENT; grpcio would say
INTERNAL. A `ServingError` becomes a status here, and here alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.dataplane.auth import CALLER, KeyRing
from jupyter_tfserve.dataplane.grpc_door import guarded
from jupyter_tfserve.dataplane.grpc_status import GRPC_STATUS, status_details, truncate_message
from jupyter_tfserve.errors import Code, Overloaded, ServingError, invalid_argument
from jupyter_tfserve.types import ModelSpec

_LOG: Final = logging.getLogger(__name__)
_PUSHBACK: Final = "grpc-retry-pushback-ms"
"""gRPC's own word for Retry-After: clients that retry by policy wait so long."""

Handler: TypeAlias = Callable[[bytes, Any], Awaitable[bytes]]
"""The serialized answer to a serialized request; its second argument is grpc.aio's context."""


def generic_handler(service: str, handlers: Mapping[str, Handler], ring: KeyRing | None = None) -> Any:
    """What a grpc.aio server is given for a service of unary methods; `ring` has the keys that open it."""
    if ring is not None:
        handlers = {name: guarded(ring, f"/{service}/{name}", handler) for name, handler in handlers.items()}
    methods = {
        name: grpc.unary_unary_rpc_method_handler(_edge(handler)) for name, handler in handlers.items()
    }
    return grpc.method_handlers_generic_handler(service, methods)


def parse_message(message_type: Any, body: bytes, type_name: str = "") -> Any:
    """The message in `body`; INVALID_ARGUMENT if it is none. `type_name` is the caller's name of it."""
    message = message_type()
    try:
        message.ParseFromString(body)
    except DecodeError:
        name = type_name or message_type.DESCRIPTOR.full_name
        raise invalid_argument(f"The request body is not a {name}") from None
    return message


def serialize(message: Any) -> bytes:
    """The message's bytes."""
    encoded: bytes = message.SerializeToString()
    return encoded


def to_model_spec(spec: Any) -> ModelSpec:
    """A ModelSpec message as our value; version 0 is a version, and an empty label is a label.

    PERMISSION_DENIED if the call came with a key, and the key is not for this model: nobody asks for one but here.
    """
    caller = CALLER.get()
    if caller is not None:
        caller.check_model(spec.name)
    choice = spec.WhichOneof("version_choice")
    return ModelSpec(
        name=spec.name,
        version=spec.version.value if choice == "version" else None,
        label=spec.version_label if choice == "version_label" else None,
        signature_name=spec.signature_name,
    )


def requested_spec(request: Any) -> ModelSpec:
    """The request's ModelSpec; INVALID_ARGUMENT if it has none."""
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    return to_model_spec(request.model_spec)


def named_spec(request: Any) -> ModelSpec:
    """`requested_spec` with a name; INVALID_ARGUMENT if that is empty."""
    spec = requested_spec(request)
    if not spec.name:
        raise invalid_argument("ModelSpec has no name specified.")
    return spec


def _edge(handler: Handler) -> Handler:
    """The handler with its errors turned into a status."""

    async def answer(body: bytes, context: Any) -> bytes:
        trailers: tuple[tuple[str, str], ...] = ()
        caller = CALLER.get()
        QUEUE_CALLER.set(context.peer() if caller is None else caller.key.id)
        try:
            return await handler(body, context)
        except ServingError as error:
            code, message, hint = error.code, error.message, error.hint
            if isinstance(error, Overloaded):
                trailers = ((_PUSHBACK, str(math.ceil(error.retry_after_s * 1000))),)
        except Exception:
            # The request edge: a fault of ours costs this call only, and tells nothing of the inside.
            _LOG.exception("A gRPC call failed unexpectedly")
            code, message, hint = Code.INTERNAL, "The server failed to answer this request", None
        message = truncate_message(message)
        await context.abort(GRPC_STATUS[code], message, (*status_details(code, message, hint), *trailers))
        raise AssertionError("abort always raises")

    return answer
