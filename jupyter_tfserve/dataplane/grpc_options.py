"""What `--grpc_channel_arguments` means. Pure."""

from __future__ import annotations

from typing import Final

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import ChannelArguments

_MAX_INT32: Final = 2**31 - 1


def parse_channel_arguments(text: str) -> ChannelArguments:
    """The arguments in `name=value,name=value`: an int where the value looks like one, else a string.

    gRPC ignores names that it doesn't know. INVALID_ARGUMENT for an entry without a name or a value's sign.
    """
    return tuple(_argument(entry) for entry in text.split(",")) if text else ()


def _argument(entry: str) -> tuple[str, int | str]:
    name, equals, value = entry.partition("=")
    if not equals or not name:
        raise invalid_argument(f'--grpc_channel_arguments: "{entry}" is not of the form name=value')
    digits = value.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and abs(int(value)) <= _MAX_INT32:
        return name, int(value)
    return name, value
