"""What `--grpc_channel_arguments` means. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jupyter_tfserve.dataplane.grpc_application import CallLimits
from jupyter_tfserve.dataplane.http2.options import Http2Options
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import ChannelArguments, LimitOptions

_MAX_INT32: Final = 2**31 - 1
_MAX_FRAME: Final = (2**14, 2**24 - 1)
_NO_LIMIT: Final = 2**62

_SIZES: Final = (
    "grpc.max_receive_message_length",
    "grpc.max_send_message_length",
    "grpc.max_metadata_size",
    "grpc.max_concurrent_streams",
    "grpc.http2.max_frame_size",
)
_TIMES: Final = (
    "grpc.max_connection_idle_ms",
    "grpc.max_connection_age_ms",
    "grpc.max_connection_age_grace_ms",
    "grpc.keepalive_time_ms",
    "grpc.keepalive_timeout_ms",
)
_SWITCHES: Final = ("grpc.so_reuseport", "grpc.keepalive_permit_without_calls")
HONOURED: Final = frozenset((*_SIZES, *_TIMES, *_SWITCHES))


@dataclass(frozen=True, slots=True)
class ServerArguments:
    """The limits with the user's arguments in their place, and the names of the arguments that mean nothing here."""

    http2: Http2Options
    calls: CallLimits
    reuse_port: bool
    unknown: tuple[str, ...]


def parse_channel_arguments(text: str) -> ChannelArguments:
    """The arguments in `name=value,name=value`: an int where the value looks like one, else a string.

    As gRPC does, a server ignores names that mean nothing to it. INVALID_ARGUMENT for an entry without a name or a
    value's sign.
    """
    return tuple(_argument(entry) for entry in text.split(",")) if text else ()


def server_arguments(limits: LimitOptions, arguments: ChannelArguments) -> ServerArguments:
    """What a server goes by; the last argument of a name counts. A value of the wrong type means nothing, as for gRPC."""
    numbers = {name: value for name, value in arguments if name in HONOURED and isinstance(value, int)}
    unknown = dict.fromkeys(name for name, _ in arguments if name not in numbers)
    frame = numbers.get("grpc.http2.max_frame_size", Http2Options(limits).max_frame_bytes)
    http2 = Http2Options(
        limits,
        max_concurrent_streams=_size(numbers, "grpc.max_concurrent_streams", 1024, _MAX_INT32),
        max_header_bytes=_size(numbers, "grpc.max_metadata_size", limits.max_header_bytes, _MAX_INT32),
        max_frame_bytes=min(max(frame, _MAX_FRAME[0]), _MAX_FRAME[1]),
        max_idle_s=_seconds(numbers, "grpc.max_connection_idle_ms", limits.idle_timeout_s),
        max_age_s=_seconds(numbers, "grpc.max_connection_age_ms", math.inf),
        max_age_grace_s=_seconds(numbers, "grpc.max_connection_age_grace_ms", math.inf),
        keepalive_s=_seconds(numbers, "grpc.keepalive_time_ms", 7200.0),
        keepalive_timeout_s=_seconds(numbers, "grpc.keepalive_timeout_ms", 20.0),
        keepalive_without_streams=bool(numbers.get("grpc.keepalive_permit_without_calls", 0)),
    )
    calls = CallLimits(
        max_receive_bytes=_size(numbers, "grpc.max_receive_message_length", limits.max_body_bytes, _NO_LIMIT),
        max_send_bytes=_size(numbers, "grpc.max_send_message_length", _NO_LIMIT, _NO_LIMIT),
        max_unfinished_bytes=limits.max_unfinished_bytes,
        max_under_way=limits.max_connections,
    )
    return ServerArguments(http2, calls, bool(numbers.get("grpc.so_reuseport", 0)), tuple(unknown))


def _size(numbers: Mapping[str, int], name: str, default: int, unlimited: int) -> int:
    value = numbers.get(name, default)
    return unlimited if value < 0 else value


def _seconds(numbers: Mapping[str, int], name: str, default: float) -> float:
    """gRPC's milliseconds, whose largest value is `never`."""
    value = numbers.get(name)
    if value is None:
        return default
    return math.inf if value in (_MAX_INT32, -1) else value / 1000


def _argument(entry: str) -> tuple[str, int | str]:
    name, equals, value = entry.partition("=")
    if not equals or not name:
        raise invalid_argument(f'--grpc_channel_arguments: "{entry}" is not of the form name=value')
    digits = value.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and abs(int(value)) <= _MAX_INT32:
        return name, int(value)
    return name, value
