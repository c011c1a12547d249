"""Messages that tensorflow-serving-api does not ship, described by their fields so that their text can be read.

Only names and types matter for text protos; the numbers are ours where upstream's are not public. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from jupyter_tfserve.errors import invalid_argument

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final[Mapping[str, int]] = {
    "bool": _FIELD.TYPE_BOOL,
    "float": _FIELD.TYPE_FLOAT,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "string": _FIELD.TYPE_STRING,
    "uint64": _FIELD.TYPE_UINT64,
}

Fields: TypeAlias = "Mapping[str, str]"
"""Type by field name: a scalar's name or a message's full name, with `repeated ` before it where it is."""


def message_class(name: str, messages: Mapping[str, Fields], dependencies: Sequence[Any] = ()) -> Any:
    """The class of the message `name`, which is one of `messages`: fields by full name, all of one package.

    `dependencies` are the descriptors of the files that define other messages named in the fields.
    """
    pool = descriptor_pool.Default()
    try:
        descriptor = pool.FindMessageTypeByName(name)
    except KeyError:
        pool.Add(_file(messages, dependencies))  # type: ignore[no-untyped-call,unused-ignore]
        descriptor = pool.FindMessageTypeByName(name)
    return message_factory.GetMessageClass(descriptor)


def parse_text(text: str, message: Any, file: str) -> Any:
    """`message`, filled from its text form; INVALID_ARGUMENT naming `file` and the place if it is no such."""
    try:
        return text_format.Parse(text, message)
    except (text_format.ParseError, TypeError) as error:
        raise invalid_argument(f"Invalid protobuf file: '{file}'", str(error)) from None


def _file(messages: Mapping[str, Fields], dependencies: Sequence[Any]) -> descriptor_pb2.FileDescriptorProto:
    package, _, first = next(iter(messages)).rpartition(".")
    proto = descriptor_pb2.FileDescriptorProto(
        name=f"jupyter_tfserve/described/{first}.proto",
        package=package,
        syntax="proto3",
        dependency=[dependency.name for dependency in dependencies],
    )
    for full_name, fields in messages.items():
        message = proto.message_type.add(name=full_name.rpartition(".")[2])
        for number, (field, kind) in enumerate(fields.items(), start=1):
            _add_field(message, field, number, kind)
    return proto


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    repeated, _, scalar_or_message = kind.rpartition(" ")
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    if scalar_or_message in _SCALARS:
        message.field.add(name=name, number=number, label=label, type=_SCALARS[scalar_or_message])
    else:
        type_name = f".{scalar_or_message}"
        message.field.add(
            name=name, number=number, label=label, type=_FIELD.TYPE_MESSAGE, type_name=type_name
        )
