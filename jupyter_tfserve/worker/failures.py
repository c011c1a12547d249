"""What a model raised, as the `ServingError` that may leave the process: TensorFlow's code, no stack, no paths.

Runs in the worker's process. Imports no TensorFlow: its errors are known by the code that they carry.
"""

from __future__ import annotations

import re
from typing import Any, Final

from jupyter_tfserve.errors import Code, ServingError, invalid_argument

_STACK_BEGINS: Final = (
    "\nTraceback (most recent call last)",
    "\n\nOriginal stack trace",
    "\nDetected at node",
)
_LOAD_PREFIX: Final = "Graph execution error:\n\n"
_AFTER_BUILDER_STACK: Final = re.compile(r"\nNode: '[^'\n]*'\n(.+)", re.DOTALL)


def run_error(error: Exception) -> ServingError:
    """The error of a call that failed inside the model."""
    if isinstance(error, ServingError):
        return error
    if is_op_error(error):
        return op_error(error)
    if isinstance(error, MemoryError):
        return ServingError(Code.RESOURCE_EXHAUSTED, "The model ran out of memory")
    if isinstance(error, (TypeError, ValueError)):
        return invalid_argument(without_stack(str(error)))
    return ServingError(Code.INTERNAL, f"The model failed: {without_stack(str(error))}")


def is_op_error(error: Exception) -> bool:
    """Whether it is a `tf.errors.OpError`."""
    return isinstance(getattr(error, "error_code", None), int) and hasattr(error, "node_def")


def op_error(error: Any) -> ServingError:
    """A `tf.errors.OpError` with its own code and message."""
    return ServingError(Code(error.error_code), without_stack(error.message or str(error)))


def without_stack(message: str) -> str:
    """The message without the Python or graph stacks before and behind it: they show the model builder's paths."""
    behind = _AFTER_BUILDER_STACK.search(message)
    if behind is not None:
        message = behind[1]
    for begin in _STACK_BEGINS:
        message = message.partition(begin)[0]
    return message.removeprefix(_LOAD_PREFIX).strip()
