"""TensorFlow Serving's `BatchingParameters` text proto as `BatchOptions`.

The message's own proto file (session_bundle_config.proto) is not shipped with tensorflow-serving-api, so it is
described here, field by field. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import wrappers_pb2

from jupyter_tfserve.codec.described_messages import message_class, parse_text
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import BatchOptions

_NAME: Final = "jupyter_tfserve.batching.BatchingParameters"
_MESSAGES: Final = {
    _NAME: {
        "max_batch_size": "google.protobuf.Int64Value",
        "batch_timeout_micros": "google.protobuf.Int64Value",
        "max_enqueued_batches": "google.protobuf.Int64Value",
        "num_batch_threads": "google.protobuf.Int64Value",
        "thread_pool_name": "google.protobuf.StringValue",
        "allowed_batch_sizes": "repeated int64",
        "pad_variable_length_inputs": "bool",
        "enable_large_batch_splitting": "google.protobuf.BoolValue",
        "max_execution_batch_size": "google.protobuf.Int64Value",
    }
}
DEFAULT_MAX_BATCH_SIZE: Final = 1000
DEFAULT_MAX_ENQUEUED_BATCHES: Final = 10


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
    message = parse_text(text, batching_parameters_class()(), name)
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
    return message_class(_NAME, _MESSAGES, [wrappers_pb2.Int64Value])
