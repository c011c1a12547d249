"""Messages that tensorflow-serving-api does not ship, described by their fields so that they can be read.

For text protos only names and types matter, and the numbers are ours where upstream's are not public. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from jupyter_tfserve.errors import invalid_argument

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final[Mapping[str, int]] = {
    "bool": _FIELD.TYPE_BOOL,
    "bytes": _FIELD.TYPE_BYTES,
    "double": _FIELD.TYPE_DOUBLE,
    "float": _FIELD.TYPE_FLOAT,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "string": _FIELD.TYPE_STRING,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
}

Fields: TypeAlias = "Mapping[str, str]"
"""Declaration by field name: `[repeated | oneof NAME | map KEY_TYPE] TYPE [= NUMBER]`.

TYPE is a scalar's name or a message's full name. Fields without a number are counted from 1. An enum's field is
an int32: the same on the wire.
"""


def message_class(name: str, messages: Mapping[str, Fields], dependencies: Sequence[Any] = ()) -> Any:
    """The class of the message `name`, which is one of `messages`: fields by full name, all of one package.

    `dependencies` are the classes of the other messages that the fields name. Asking again gives the same class.
    """
    pool = descriptor_pool.Default()
    try:
        descriptor = pool.FindMessageTypeByName(name)
    except KeyError:
        pool.Add(file_descriptor(messages, dependencies))  # type: ignore[no-untyped-call,unused-ignore]
        descriptor = pool.FindMessageTypeByName(name)
    return message_factory.GetMessageClass(descriptor)


def describe_service(name: str, methods: Mapping[str, tuple[Any, Any]]) -> None:
    """Makes the service `name` known to the default pool, where reflection finds it.

    `methods` has the classes of each method's request and answer. One that is known already is left alone.
    """
    pool = descriptor_pool.Default()
    try:
        pool.FindServiceByName(name)
    except KeyError:
        pool.Add(_service_file(name, methods))  # type: ignore[no-untyped-call,unused-ignore]


def parse_text(text: str, message: Any, file: str, *, is_secret: bool = False) -> Any:
    """`message`, filled from its text form; INVALID_ARGUMENT naming `file` and the place if it is no such.

    Of a text that is secret the error quotes nothing.
    """
    try:
        return text_format.Parse(text, message)
    except (text_format.ParseError, TypeError) as error:
        refused = f"Invalid protobuf file: '{file}'"
        if not is_secret:
            raise invalid_argument(refused, str(error)) from None
        line = error.GetLine() if isinstance(error, text_format.ParseError) else None
        raise invalid_argument(f"{refused} at line {line}" if line else refused) from None


def file_descriptor(
    messages: Mapping[str, Fields], dependencies: Sequence[Any] = ()
) -> descriptor_pb2.FileDescriptorProto:
    """The file that declares `messages`, as `message_class` takes them; for a pool of one's own."""
    first = next(iter(messages))
    proto = descriptor_pb2.FileDescriptorProto(
        name=f"jupyter_tfserve/described/{first}.proto",
        package=first.rpartition(".")[0],
        syntax="proto3",
        dependency=dict.fromkeys(dependency.DESCRIPTOR.file.name for dependency in dependencies),
    )
    for full_name, fields in messages.items():
        message = proto.message_type.add(name=full_name.rpartition(".")[2])
        for count, (field, declaration) in enumerate(fields.items(), start=1):
            _add_field(message, proto.package, field, count, declaration)
    return proto


def _service_file(name: str, methods: Mapping[str, tuple[Any, Any]]) -> descriptor_pb2.FileDescriptorProto:
    package, _, service_name = name.rpartition(".")
    messages = [message for pair in methods.values() for message in pair]
    proto = descriptor_pb2.FileDescriptorProto(
        name=f"jupyter_tfserve/described/{name}.proto",
        package=package,
        syntax="proto3",
        dependency=dict.fromkeys(message.DESCRIPTOR.file.name for message in messages),
    )
    service = proto.service.add(name=service_name)
    for method, (request, response) in methods.items():
        service.method.add(
            name=method,
            input_type=f".{request.DESCRIPTOR.full_name}",
            output_type=f".{response.DESCRIPTOR.full_name}",
        )
    return proto


def _add_field(
    message: descriptor_pb2.DescriptorProto, package: str, name: str, count: int, declaration: str
) -> None:
    kind, _, number = declaration.partition(" = ")
    *rule, type_name = kind.split()
    if rule[:1] == ["map"]:
        type_name = f"{package}.{message.name}.{_add_map_entry(message, package, name, rule[1], type_name)}"
    field = message.field.add(
        name=name,
        number=int(number or count),
        label=_FIELD.LABEL_REPEATED if rule[:1] in (["repeated"], ["map"]) else _FIELD.LABEL_OPTIONAL,
    )
    if type_name in _SCALARS:
        field.type = _SCALARS[type_name]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{type_name}"
    if rule[:1] == ["oneof"]:
        field.oneof_index = _oneof_index(message, rule[1])


def _add_map_entry(
    message: descriptor_pb2.DescriptorProto, package: str, name: str, key: str, value: str
) -> str:
    """A map is a list of entries: messages of a nested type, whose name is returned."""
    entry_name = "".join(part.title() for part in name.split("_")) + "Entry"
    entry = message.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    _add_field(entry, package, "key", 1, key)
    _add_field(entry, package, "value", 2, value)
    return entry_name


def _oneof_index(message: descriptor_pb2.DescriptorProto, name: str) -> int:
    names = [oneof.name for oneof in message.oneof_decl]
    if name not in names:
        message.oneof_decl.add(name=name)
        names.append(name)
    return names.index(name)
