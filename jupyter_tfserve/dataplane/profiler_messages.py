"""ProfilerService's messages, as far as they are used: TensorFlow ships only the service's C++ side.

Laid out as profiler_service.proto has them; a nested XSpace is kept as its bytes. Pure.
"""

from __future__ import annotations

from typing import Any, Final

from jupyter_tfserve.codec.described_messages import describe_service, message_class

PROFILER_SERVICE: Final = "tensorflow.ProfilerService"

_PACKAGE: Final = "jupyter_tfserve.profiler"
_MESSAGES: Final = {
    f"{_PACKAGE}.ProfileOptions": {
        "host_tracer_level": "uint32 = 2",
        "device_tracer_level": "uint32 = 3",
        "python_tracer_level": "uint32 = 4",
        "duration_ms": "uint64 = 9",
    },
    f"{_PACKAGE}.ProfileToolData": {"name": "string = 1", "data": "bytes = 2"},
    f"{_PACKAGE}.ProfileRequest": {
        "duration_ms": "uint64 = 1",
        "opts": f"{_PACKAGE}.ProfileOptions = 4",
        "session_id": "string = 6",
        "emit_xspace": "bool = 9",
    },
    f"{_PACKAGE}.ProfileResponse": {
        "tool_data": f"repeated {_PACKAGE}.ProfileToolData = 6",
        "empty_trace": "bool = 7",
        "xspace": "bytes = 8",
    },
    f"{_PACKAGE}.TerminateRequest": {"session_id": "string = 1"},
    f"{_PACKAGE}.TerminateResponse": {},
    f"{_PACKAGE}.MonitorRequest": {"duration_ms": "uint64", "monitoring_level": "int32", "timestamp": "bool"},
    f"{_PACKAGE}.MonitorResponse": {"data": "string"},
}

ProfileRequest: Any = message_class(f"{_PACKAGE}.ProfileRequest", _MESSAGES)
ProfileResponse: Any = message_class(f"{_PACKAGE}.ProfileResponse", _MESSAGES)
TerminateRequest: Any = message_class(f"{_PACKAGE}.TerminateRequest", _MESSAGES)
TerminateResponse: Any = message_class(f"{_PACKAGE}.TerminateResponse", _MESSAGES)

describe_service(
    PROFILER_SERVICE,
    {
        "Profile": (ProfileRequest, ProfileResponse),
        "Terminate": (TerminateRequest, TerminateResponse),
        "Monitor": (
            message_class(f"{_PACKAGE}.MonitorRequest", _MESSAGES),
            message_class(f"{_PACKAGE}.MonitorResponse", _MESSAGES),
        ),
    },
)
