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

from jupyter_tfserve.codec.described_messages import message_class
from jupyter_tfserve.codec.protos import InferenceTask, ModelSpec
from jupyter_tfserve.codec.tensor_proto import STRING_CELL_BYTES
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Tensor

_PACKAGE: Final = "jupyter_tfserve.examples"
_MESSAGES: Final = {
    f"{_PACKAGE}.SerializedExampleList": {"examples": "repeated bytes"},
    f"{_PACKAGE}.SerializedExampleListWithContext": {"examples": "repeated bytes", "context": "bytes"},
    f"{_PACKAGE}.SerializedInput": {
        "example_list": f"oneof kind {_PACKAGE}.SerializedExampleList",
        "example_list_with_context": f"oneof kind {_PACKAGE}.SerializedExampleListWithContext",
    },
    f"{_PACKAGE}.ExampleRequest": {
        "model_spec": "tensorflow.serving.ModelSpec",
        "input": f"{_PACKAGE}.SerializedInput",
    },
    f"{_PACKAGE}.MultiExampleRequest": {
        "tasks": "repeated tensorflow.serving.InferenceTask",
        "input": f"{_PACKAGE}.SerializedInput",
    },
}


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


ExampleRequest: Any = message_class(f"{_PACKAGE}.ExampleRequest", _MESSAGES, [ModelSpec, InferenceTask])
"""ClassificationRequest and RegressionRequest: their layout is one."""

MultiExampleRequest: Any = message_class(
    f"{_PACKAGE}.MultiExampleRequest", _MESSAGES, [ModelSpec, InferenceTask]
)
"""MultiInferenceRequest."""
