"""A failed call's `grpc-status-details-bin`: the hint that REST writes beside an error, for gRPC.

The bytes are a google.rpc.Status with one google.rpc.ErrorInfo. Both are described here under names of our own:
the package that ships them would refuse to be loaded beside a second description of its names. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from jupyter_tfserve.codec.described_messages import Fields, message_class
from jupyter_tfserve.errors import Code

DETAILS_KEY: Final = "grpc-status-details-bin"
"""The metadata key under which gRPC's libraries look for them."""
DOMAIN: Final = "jupyter_tfserve"
HINT: Final = "hint"
"""The ErrorInfo's metadata entry that holds the hint."""

_ERROR_INFO_URL: Final = "type.googleapis.com/google.rpc.ErrorInfo"
_PACKAGE: Final = "jupyter_tfserve.rpc"
_MESSAGES: Final[Mapping[str, Fields]] = {
    f"{_PACKAGE}.Status": {
        "code": "int32",
        "message": "string",
        "details": "repeated google.protobuf.Any",
    },
    f"{_PACKAGE}.ErrorInfo": {
        "reason": "string",
        "domain": "string",
        # A map on the wire: repeated entries of key and value.
        "metadata": f"repeated {_PACKAGE}.Entry",
    },
    f"{_PACKAGE}.Entry": {"key": "string", "value": "string"},
}
_Status: Final[Any] = message_class(f"{_PACKAGE}.Status", _MESSAGES, (AnyMessage,))
_ErrorInfo: Final[Any] = message_class(f"{_PACKAGE}.ErrorInfo", _MESSAGES, (AnyMessage,))


def encode_details(code: Code, message: str, hint: str) -> bytes:
    """The details of a status; `reason` is the code's name. REQUIRES: both texts are UTF-8 and bounded."""
    described = _ErrorInfo(reason=code.name, domain=DOMAIN)
    described.metadata.add(key=HINT, value=hint)
    status = _Status(code=int(code), message=message)
    status.details.add(type_url=_ERROR_INFO_URL, value=described.SerializeToString())
    encoded: bytes = status.SerializeToString()
    return encoded


def read_hint(details: bytes) -> str | None:
    """The hint in a status's details; None if they hold none, or are another server's."""
    try:
        status = _Status.FromString(details)
        for detail in status.details:
            if detail.type_url == _ERROR_INFO_URL:
                described = _ErrorInfo.FromString(detail.value)
                if described.domain == DOMAIN:
                    return next((str(one.value) for one in described.metadata if one.key == HINT), None)
    except DecodeError:
        pass
    return None
