"""Canonical codes to gRPC statuses, their details, and the bound on a status message: a failed call's last step."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import grpc

from jupyter_tfserve.codec.status_details import DETAILS_KEY, encode_details
from jupyter_tfserve.errors import Code

GRPC_STATUS: Final[Mapping[Code, grpc.StatusCode]] = MappingProxyType(
    {code: grpc.StatusCode[code.name] for code in Code}
)
"""Code to gRPC status: the same sixteen, and OK."""

MAX_MESSAGE_BYTES: Final = 1024
TRUNCATED: Final = "...TRUNCATED"


def truncate_message(message: str) -> str:
    """The message as a status may carry it: cut to 1024 bytes and marked where it is longer.

    A character that the cut would split is left out; what UTF-8 cannot hold becomes `?`.
    """
    encoded = message.encode(errors="replace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return encoded.decode()
    return encoded[:MAX_MESSAGE_BYTES].decode(errors="ignore") + TRUNCATED


def status_details(code: Code, message: str, hint: str | None) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata of a failed call: its hint, cut as its message is, or nothing."""
    if hint is None:
        return ()
    return ((DETAILS_KEY, encode_details(code, message, truncate_message(hint))),)
