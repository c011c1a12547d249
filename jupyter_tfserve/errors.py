"""The canonical error codes and the one exception that crosses layers.

Every layer raises `ServingError` with a canonical code; only the edges turn the code into an HTTP
status (`HTTP_STATUS`) or a gRPC status (`dataplane.grpc_status`). Bottom layer: imports nothing of ours.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class Code(enum.IntEnum):
    """gRPC's canonical status codes, by their numbers on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS: Final[Mapping[Code, int]] = MappingProxyType(
    {
        Code.OK: 200,
        Code.CANCELLED: 499,
        Code.UNKNOWN: 500,
        Code.INVALID_ARGUMENT: 400,
        Code.DEADLINE_EXCEEDED: 504,
        Code.NOT_FOUND: 404,
        Code.ALREADY_EXISTS: 409,
        Code.PERMISSION_DENIED: 403,
        Code.RESOURCE_EXHAUSTED: 429,
        Code.FAILED_PRECONDITION: 400,
        Code.ABORTED: 409,
        Code.OUT_OF_RANGE: 400,
        Code.UNIMPLEMENTED: 501,
        Code.INTERNAL: 500,
        Code.UNAVAILABLE: 503,
        Code.DATA_LOSS: 500,
        Code.UNAUTHENTICATED: 401,
    }
)
"""Code to HTTP status, as TensorFlow Serving's http_server.cc maps them."""


class ServingError(Exception):
    """A request or a transition failed: a canonical code, a message for the caller, maybe a fix.

    `message` may leave the process: it never holds a path outside the caller's own, a stack or a token.
    `hint` is the next step for a person; it is shown beside the message, never inside it.
    """

    def __init__(self, code: Code, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """`CODE: message`, the way absl prints a status."""
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str, hint: str | None = None) -> ServingError:
    """A `ServingError` of code INVALID_ARGUMENT."""
    return ServingError(Code.INVALID_ARGUMENT, message, hint)


def not_found(message: str, hint: str | None = None) -> ServingError:
    """A `ServingError` of code NOT_FOUND."""
    return ServingError(Code.NOT_FOUND, message, hint)


class ModelDied(ServingError):
    """A model took the process that held it with it, by a fault of its own: who counts these may give it up."""


class ModelHung(ModelDied):
    """A model came to no end, and the process that held it was ended: counts as if it had died of itself."""


class Overloaded(ServingError):
    """Refused before it cost anything; the same request may be admitted after `retry_after_s`."""

    def __init__(self, code: Code, message: str, retry_after_s: float) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s
