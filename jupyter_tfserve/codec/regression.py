"""A regression: what its signature must look like, and what is read from the model's output.

Pure, after TensorFlow Serving's `regressor.cc`; REST and gRPC encode the same `Regressions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jupyter_tfserve.codec.signatures import data_type_name, shape_text, signature_text
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import Signature, Tensor, Tensors

REGRESS_METHOD: Final = "tensorflow/serving/regress"
INPUTS: Final = "inputs"
OUTPUTS: Final = "outputs"


@dataclass(frozen=True, slots=True)
class Regressions:
    """One float32 for each example, [batch]."""

    values: Tensor


def regression_outputs(signature: Signature, check_method_name: bool = False) -> tuple[str, ...]:
    """The output that a regression asks this signature for; INVALID_ARGUMENT if it cannot regress."""
    if check_method_name and signature.method_name != REGRESS_METHOD:
        raise invalid_argument(
            f"Expected regression signature method_name to be {REGRESS_METHOD}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No regression inputs found in SignatureDef: {signature_text(signature)}")
    if OUTPUTS not in signature.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {signature_text(signature)}")
    return (OUTPUTS,)


def read_regressions(outputs: Tensors, batch_size: int) -> Regressions:
    """The regressions of `batch_size` examples; INVALID_ARGUMENT if the output is none of them."""
    tensor = outputs[OUTPUTS]
    if tensor.ndim != 1 and not (tensor.ndim == 2 and tensor.shape[1] == 1):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
            f"but got {shape_text(tensor.shape)}"
        )
    if tensor.shape[0] != batch_size:
        raise invalid_argument(
            f"Input batch size did not match output batch size: {batch_size} vs. {tensor.shape[0]}"
        )
    if tensor.dtype != np.float32:
        # Two spaces: upstream's text.
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {data_type_name(tensor.dtype)}")
    return Regressions(tensor.reshape(-1))


def put_regressions(regressions: Regressions, result: Any) -> None:
    """Fills an empty RegressionResult message."""
    for value in regressions.values.tolist():
        result.regressions.add(value=value)
