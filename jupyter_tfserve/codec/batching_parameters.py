"""TensorFlow Serving's `BatchingParameters` text proto as `BatchOptions`.

The message's own proto file (session_bundle_config.proto) is not shipped with tensorflow-serving-api, so it is
described here, field by field. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class BatchingParameters:
    """A queue's options, and how many batches may run at once (`lanes`; None: not said)."""

    options: BatchOptions
    lanes: int | None


def parse_batching_parameters(text: str, name: str) -> BatchingParameters:
    """The parameters in a text proto; what it leaves out has TensorFlow Serving's defaults.

    INVALID_ARGUMENT when the text is no BatchingParameters (the hint has the line), or its values can't be.
    `name` is the file as the user gave it.
    """
    try:
        message = text_format.Parse(text, batching_parameters_class()())
    except text_format.ParseError as error:
        raise invalid_argument(f"Invalid protobuf file: '{name}'", str(error)) from None
    return BatchingParameters(_options(message), _lanes(message))


def _options(message: Any) -> BatchOptions:
    size = _value(message, "max_batch_size", DEFAULT_MAX_BATCH_SIZE)
    batches = _value(message, "max_enqueued_batches", DEFAULT_MAX_ENQUEUED_BATCHES)
    return BatchOptions(
        max_batch_size=size,
        batch_timeout_micros=message.batch_timeout_micros.value,
        max_enqueued_rows=max(BatchOptions().max_enqueued_rows, batches * size),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        verify=False,
        strict=True,
        max_enqueued_batches=batches,
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        enable_large_batch_splitting=message.enable_large_batch_splitting.value,
        max_execution_batch_size=message.max_execution_batch_size.value,
    )


def _value(message: Any, name: str, default: int) -> int:
    return int(getattr(message, name).value) if message.HasField(name) else default


def _lanes(message: Any) -> int | None:
    if not message.HasField("num_batch_threads"):
        return None
    threads = int(message.num_batch_threads.value)
    if threads < 1:
        raise invalid_argument(f"num_batch_threads must be positive; was {threads}")
    return threads


def batching_parameters_class() -> Any:
    """The BatchingParameters message."""
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
