"""What of a model's error leaves the process: its code and its reason, never a stack."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.worker.failures import run_error, without_stack

STACK = '  File "/home/me/train.py", line 3, in <module>\n'


@pytest.mark.parametrize(
    "message",
    [
        "bad shape",
        f"bad shape\nTraceback (most recent call last):\n{STACK}",
        f"bad shape\n\nOriginal stack trace for 'x':\n{STACK}",
        f"bad shape\nDetected at node x defined at (most recent call last):\n{STACK}",
        "Graph execution error:\n\nbad shape",
        f"Graph execution error:\n\nDetected at node 'x' defined at (most recent call last):\n{STACK}"
        f"Node: 'x'\nbad shape\n\nOriginal stack trace for 'x':\n{STACK}",
    ],
)
def test_reason_is_left_when_a_message_has_stacks(message):
    assert without_stack(message) == "bad shape"


class OpError(Exception):
    """As `tf.errors.OpError` looks from outside."""

    def __init__(self, code, message):
        super().__init__(message)
        self.error_code, self.message, self.node_def = code, message, None


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OpError(5, "no table\n\nOriginal stack trace for 'x'"), Code.NOT_FOUND, "no table"),
        (MemoryError(), Code.RESOURCE_EXHAUSTED, "The model ran out of memory"),
        (ValueError("bad value"), Code.INVALID_ARGUMENT, "bad value"),
        (OSError("disk"), Code.INTERNAL, "The model failed: disk"),
        (ServingError(Code.ABORTED, "ours"), Code.ABORTED, "ours"),
    ],
)
def test_error_keeps_its_code_when_a_run_fails(error, code, message):
    told = run_error(error)
    assert (told.code, told.message) == (code, message)
