"""Bytes to messages and messages to bytes, as every gRPC method needs them.

Handlers get raw bytes, so that a body which is no message is the caller's INVALID_ARGUMENT, with the message's name.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from jupyter_tfserve.dataplane.auth import CALLER
from jupyter_tfserve.dataplane.grpc_head import Beginner, Handler, StreamHandler
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import ModelSpec

__all__ = [
    "Beginner",
    "Handler",
    "StreamHandler",
    "named_spec",
    "parse_message",
    "requested_spec",
    "serialize",
    "to_model_spec",
]


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
