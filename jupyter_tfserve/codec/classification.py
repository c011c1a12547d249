"""A classification: what its signature must look like, and what is read from the model's outputs.

Pure, after TensorFlow Serving's `classifier.cc`; REST and gRPC encode the same `Classifications`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jupyter_tfserve.codec.signatures import data_type_name, shape_text, signature_text
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import Signature, Tensor, Tensors

CLASSIFY_METHOD: Final = "tensorflow/serving/classify"
INPUTS: Final = "inputs"
CLASSES: Final = "classes"
SCORES: Final = "scores"


@dataclass(frozen=True, slots=True)
class Classifications:
    """Labels (bytes) and scores (float32), [batch, classes] each; one of the two may be missing."""

    labels: Tensor | None
    scores: Tensor | None

    @property
    def batch_size(self) -> int:
        """How many examples were classified."""
        known = self.labels if self.labels is not None else self.scores
        return 0 if known is None else int(known.shape[0])


def classification_outputs(signature: Signature, check_method_name: bool = False) -> tuple[str, ...]:
    """The outputs that a classification asks this signature for; INVALID_ARGUMENT if it cannot classify."""
    if check_method_name and signature.method_name != CLASSIFY_METHOD:
        raise invalid_argument(
            f"Expected classification signature method_name to be {CLASSIFY_METHOD}. "
            f"Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No classification inputs found in SignatureDef: {signature_text(signature)}")
    outputs = tuple(alias for alias in (CLASSES, SCORES) if alias in signature.outputs)
    if not outputs:
        raise invalid_argument(
            "Expected classification signature outputs to contain at least one of "
            f'"{CLASSES}" or "{SCORES}". Signature was: {signature_text(signature)}'
        )
    return outputs


def read_classifications(outputs: Tensors, batch_size: int) -> Classifications:
    """The classifications of `batch_size` examples; INVALID_ARGUMENT if the outputs are none of them."""
    labels, scores = outputs.get(CLASSES), outputs.get(SCORES)
    if labels is not None:
        _check_output(CLASSES, labels, np.dtype(np.object_), "DT_STRING", batch_size)
    if scores is not None:
        _check_output(SCORES, scores, np.dtype(np.float32), "DT_FLOAT", batch_size)
    if labels is not None and scores is not None and labels.shape[1] != scores.shape[1]:
        raise invalid_argument(
            "Tensors class and score should match in dim_size(1). "
            f"Got {labels.shape[1]} vs. {scores.shape[1]}"
        )
    return Classifications(labels, scores)


def put_classifications(classifications: Classifications, result: Any) -> None:
    """Fills an empty ClassificationResult message, one Classifications for each example."""
    labels = None if classifications.labels is None else classifications.labels.tolist()
    scores = None if classifications.scores is None else classifications.scores.tolist()
    for row in range(classifications.batch_size):
        classes = result.classifications.add().classes
        if labels is None:
            for score in scores[row] if scores is not None else ():
                classes.add(score=score)
        elif scores is None:
            for label in labels[row]:
                classes.add(label=_text(label))
        else:
            for label, score in zip(labels[row], scores[row], strict=True):
                classes.add(label=_text(label), score=score)


def _text(label: bytes) -> str:
    # Class.label is a proto string: what is no UTF-8 cannot travel in it.
    return label.decode(errors="replace")


def _check_output(alias: str, tensor: Tensor, dtype: np.dtype[Any], dtype_name: str, batch_size: int) -> None:
    if tensor.ndim != 2:
        raise invalid_argument(
            f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(tensor.shape)}"
        )
    if tensor.dtype != dtype:
        raise invalid_argument(
            f"Expected {alias} Tensor of {dtype_name}. Got: {data_type_name(tensor.dtype)}"
        )
    if tensor.shape[0] != batch_size:
        raise invalid_argument(f"Expected {alias} output batch size of {batch_size}. Got: {tensor.shape[0]}")
