"""The input of Classify, Regress and MultiInference: serialized `tf.Example`s, and the tensor they become.

Examples pass through as bytes: only the model parses them. The requests are therefore read with messages
laid out as TensorFlow Serving's own, but with each Example as bytes (its internal `SerializedInput`,
described here since tensorflow-serving-api does not ship it). Pure; both protocols' codecs end here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from jupyter_tfserve.codec.protos import InferenceTask, ModelSpec
from jupyter_tfserve.codec.tensor_proto import STRING_CELL_BYTES
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Tensor

_PACKAGE: Final = "jupyter_tfserve.examples"
_FIELD: Final = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True, slots=True)
class ExampleInput:
    """Serialized Examples in the caller's order, and the serialized context that they share (empty: none)."""

    examples: Sequence[bytes] = ()
    context: bytes = b""

    def tensor(self, limits: LimitOptions) -> Tensor:
        """The string vector that a model is fed: each entry is the context's bytes and then the Example's.

        In that order an Example's feature wins over the context's. INVALID_ARGUMENT if there is no Example;
        RESOURCE_EXHAUSTED above `max_tensor_bytes`, before the context is copied to each of them.
        """
        count = len(self.examples)
        if not count:
            raise invalid_argument("Input is empty.")
        size_bytes = count * (STRING_CELL_BYTES + len(self.context)) + sum(map(len, self.examples))
        if size_bytes > limits.max_tensor_bytes:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"The request's examples need {size_bytes} bytes; "
                f"the limit max_tensor_bytes is {limits.max_tensor_bytes}",
            )
        tensor = np.empty(count, np.object_)
        context = self.context
        tensor[:] = [context + example for example in self.examples] if context else list(self.examples)
        return tensor


def example_input(serialized_input: Any) -> ExampleInput:
    """The input of a `SerializedInput` message; an input that is not set has no Examples."""
    if serialized_input.WhichOneof("kind") == "example_list_with_context":
        with_context = serialized_input.example_list_with_context
        return ExampleInput(with_context.examples, with_context.context)
    return ExampleInput(serialized_input.example_list.examples)


def _message_classes() -> tuple[Any, Any]:
    pool = descriptor_pool.Default()
    try:
        pool.FindMessageTypeByName(f"{_PACKAGE}.SerializedInput")
    except KeyError:
        pool.Add(_file())  # type: ignore[no-untyped-call,unused-ignore]
    names = ("ExampleRequest", "MultiExampleRequest")
    descriptors = [pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in names]
    request, multi_request = map(message_factory.GetMessageClass, descriptors)
    return request, multi_request


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="jupyter_tfserve/examples.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[ModelSpec.DESCRIPTOR.file.name, InferenceTask.DESCRIPTOR.file.name],
    )
    own = f".{_PACKAGE}"
    examples = file.message_type.add(name="SerializedExampleList")
    _add_bytes(examples, "examples", 1, _FIELD.LABEL_REPEATED)
    with_context = file.message_type.add(name="SerializedExampleListWithContext")
    _add_bytes(with_context, "examples", 1, _FIELD.LABEL_REPEATED)
    _add_bytes(with_context, "context", 2, _FIELD.LABEL_OPTIONAL)
    kinds = file.message_type.add(name="SerializedInput")
    kinds.oneof_decl.add(name="kind")
    for number, kind in enumerate(("ExampleList", "ExampleListWithContext"), 1):
        name = "example_list" if number == 1 else "example_list_with_context"
        _add_message(kinds, name, number, f"{own}.Serialized{kind}").oneof_index = 0
    request = file.message_type.add(name="ExampleRequest")
    _add_message(request, "model_spec", 1, f".{ModelSpec.DESCRIPTOR.full_name}")
    _add_message(request, "input", 2, f"{own}.SerializedInput")
    multi_request = file.message_type.add(name="MultiExampleRequest")
    tasks = _add_message(multi_request, "tasks", 1, f".{InferenceTask.DESCRIPTOR.full_name}")
    tasks.label = _FIELD.LABEL_REPEATED
    _add_message(multi_request, "input", 2, f"{own}.SerializedInput")
    return file


def _add_bytes(message: Any, name: str, number: int, label: int) -> None:
    message.field.add(name=name, number=number, type=_FIELD.TYPE_BYTES, label=label)


def _add_message(message: Any, name: str, number: int, type_name: str) -> Any:
    return message.field.add(
        name=name, number=number, type=_FIELD.TYPE_MESSAGE, label=_FIELD.LABEL_OPTIONAL, type_name=type_name
    )


ExampleRequest, MultiExampleRequest = _message_classes()
"""ClassificationRequest and RegressionRequest (their layout is one), and MultiInferenceRequest."""
