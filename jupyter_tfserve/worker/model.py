"""What a worker serves, whatever its format, and the checks that every format makes on a call.

Runs in the worker's process. Imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import Tensor, Tensors
from jupyter_tfserve.worker.frame import Call


class Model(Protocol):
    """A loaded model. Threads may call `run` at the same time."""

    @property
    def signature_defs(self) -> bytes:
        """A serialized `tensorflow.serving.SignatureDefMap`."""

    def run(self, call: Call) -> dict[str, Tensor]:
        """The outputs that the call asks for, all of the signature's if it names none; else ServingError."""


def signature_not_found(key: str) -> ServingError:
    """The refusal of a call for a signature that the model does not have."""
    return ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')


def check_inputs(inputs: Tensors, wanted: Collection[str]) -> None:
    """INVALID_ARGUMENT unless `inputs` has exactly the aliases `wanted`."""
    if len(inputs) != len(wanted):
        raise invalid_argument(f"input size does not match signature: {len(inputs)}!={len(wanted)}")
    for alias in wanted:
        if alias not in inputs:
            raise invalid_argument(f"Signature input alias: {alias} not found in request")


def chosen_outputs(outputs: tuple[str, ...], known: Collection[str]) -> tuple[str, ...]:
    """The output aliases to compute: all, in order, if the call names none. INVALID_ARGUMENT for an unknown one."""
    for alias in outputs:
        if alias not in known:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{','.join(sorted(known))}}}."
            )
    return outputs or tuple(sorted(known))
