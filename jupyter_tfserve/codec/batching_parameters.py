"""TensorFlow Serving's `BatchingParameters` text proto as `BatchOptions`.

The message's own proto file is not shipped with tensorflow-serving-api, so it is described here, field by field
(session_bundle_config.proto).
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import BatchOptions

_PACKAGE = "jupyter_tfserve.batching"
_WRAPPED = (
    ("max_batch_size", 1, "Int64Value"),
    ("batch_timeout_micros", 2, "Int64Value"),
    ("max_enqueued_batches", 3, "Int64Value"),
    ("num_batch_threads", 4, "Int64Value"),
    ("thread_pool_name", 5, "StringValue"),
    ("enable_large_batch_splitting", 8, "BoolValue"),
    ("max_execution_batch_size", 9, "Int64Value"),
)
_FIELD = descriptor_pb2.FieldDescriptorProto
DEFAULT_MAX_BATCH_SIZE = 1000
DEFAULT_MAX_ENQUEUED_BATCHES = 10


def parse_batching_parameters(text: str, name: str) -> tuple[BatchOptions, int | None, list[str]]:
    """(options, lanes or None, notes): the queue's options, how many batches run at once, and what was passed over.

    INVALID_ARGUMENT with the line when the text is not a BatchingParameters; `name` is the file as the user gave it.
    """
    try:
        message = text_format.Parse(text, _message_class()())
    except text_format.ParseError as error:
        raise invalid_argument(f"Invalid protobuf file: '{name}': {error}") from None
    return _options(message), _lanes(message), _notes(message)


def _options(message: Any) -> BatchOptions:
    size = message.max_batch_size.value if message.HasField("max_batch_size") else DEFAULT_MAX_BATCH_SIZE
    batches = (
        message.max_enqueued_batches.value
        if message.HasField("max_enqueued_batches")
        else DEFAULT_MAX_ENQUEUED_BATCHES
    )
    return BatchOptions(
        max_batch_size=size,
        batch_timeout_micros=message.batch_timeout_micros.value,
        max_enqueued_rows=max(batches, 1) * size,
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        verify=False,
    )


def _lanes(message: Any) -> int | None:
    if not message.HasField("num_batch_threads"):
        return None
    threads = int(message.num_batch_threads.value)
    if threads < 1:
        raise invalid_argument(f"num_batch_threads must be positive; was {threads}")
    return threads


def _notes(message: Any) -> list[str]:
    unused = ("pad_variable_length_inputs", "enable_large_batch_splitting", "max_execution_batch_size")
    set_fields = {field.name for field, _ in message.ListFields()}
    return [f"batching parameter {name} has no effect yet" for name in unused if name in set_fields]


def _message_class() -> Any:
    pool = descriptor_pool.Default()
    try:
        descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.BatchingParameters")
    except KeyError:
        pool.Add(_file())  # type: ignore[no-untyped-call,unused-ignore]
        descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.BatchingParameters")
    return message_factory.GetMessageClass(descriptor)


def _file() -> descriptor_pb2.FileDescriptorProto:
    proto = descriptor_pb2.FileDescriptorProto(
        name="jupyter_tfserve/batching_parameters.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    message = proto.message_type.add(name="BatchingParameters")
    for field, number, wrapper in _WRAPPED:
        message.field.add(
            name=field,
            number=number,
            type=_FIELD.TYPE_MESSAGE,
            label=_FIELD.LABEL_OPTIONAL,
            type_name=f".google.protobuf.{wrapper}",
        )
    message.field.add(
        name="allowed_batch_sizes", number=6, type=_FIELD.TYPE_INT64, label=_FIELD.LABEL_REPEATED
    )
    message.field.add(
        name="pad_variable_length_inputs", number=7, type=_FIELD.TYPE_BOOL, label=_FIELD.LABEL_OPTIONAL
    )
    return proto
