"""ProfilerService's messages, as far as they are used: TensorFlow ships only the service's C++ side.

Laid out as profiler_service.proto has them; a nested XSpace is kept as its bytes. Pure.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROFILER_SERVICE: Final = "tensorflow.ProfilerService"

_PACKAGE: Final = "jupyter_tfserve.profiler"
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_UINT64, _UINT32, _BOOL, _STRING, _BYTES = (
    _FIELD.TYPE_UINT64,
    _FIELD.TYPE_UINT32,
    _FIELD.TYPE_BOOL,
    _FIELD.TYPE_STRING,
    _FIELD.TYPE_BYTES,
)
_MESSAGES: Final[dict[str, tuple[tuple[str, int, int], ...]]] = {
    "ProfileOptions": (
        ("host_tracer_level", 2, _UINT32),
        ("device_tracer_level", 3, _UINT32),
        ("python_tracer_level", 4, _UINT32),
        ("duration_ms", 9, _UINT64),
    ),
    "ProfileToolData": (("name", 1, _STRING), ("data", 2, _BYTES)),
    "ProfileRequest": (("duration_ms", 1, _UINT64), ("session_id", 6, _STRING), ("emit_xspace", 9, _BOOL)),
    "ProfileResponse": (("empty_trace", 7, _BOOL), ("xspace", 8, _BYTES)),
    "TerminateRequest": (("session_id", 1, _STRING),),
    "TerminateResponse": (),
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="jupyter_tfserve/profiler.proto", package=_PACKAGE, syntax="proto3"
    )
    by_name = {name: file.message_type.add(name=name) for name in _MESSAGES}
    for message, fields in _MESSAGES.items():
        for name, number, kind in fields:
            by_name[message].field.add(name=name, number=number, type=kind, label=_FIELD.LABEL_OPTIONAL)
    for message, name, number, type_name, label in (
        ("ProfileRequest", "opts", 4, "ProfileOptions", _FIELD.LABEL_OPTIONAL),
        ("ProfileResponse", "tool_data", 6, "ProfileToolData", _FIELD.LABEL_REPEATED),
    ):
        by_name[message].field.add(
            name=name,
            number=number,
            type=_FIELD.TYPE_MESSAGE,
            label=label,
            type_name=f".{_PACKAGE}.{type_name}",
        )
    return file


def _message_class(name: str) -> Any:
    pool = descriptor_pool.Default()
    try:
        descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    except KeyError:
        pool.Add(_file())  # type: ignore[no-untyped-call,unused-ignore]
        descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return message_factory.GetMessageClass(descriptor)


ProfileRequest: Any = _message_class("ProfileRequest")
ProfileResponse: Any = _message_class("ProfileResponse")
TerminateRequest: Any = _message_class("TerminateRequest")
TerminateResponse: Any = _message_class("TerminateResponse")
