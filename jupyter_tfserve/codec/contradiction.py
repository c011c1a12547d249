"""Whether tensors contradict what their signature says of ranks and dimensions. Pure.

Upstream leaves this to the model, which may even accept it; it is asked only about a model that such a request has
killed.
"""

from __future__ import annotations

from jupyter_tfserve.codec.mismatch import describe_spec
from jupyter_tfserve.codec.value_shape import describe_shape, shape_fits
from jupyter_tfserve.errors import ServingError, invalid_argument
from jupyter_tfserve.types import Signature, Tensors


def refusal(inputs: Tensors, signature: Signature) -> ServingError | None:
    """INVALID_ARGUMENT that names the first input whose shape can't be what the signature wants; None if all can."""
    for alias, tensor in inputs.items():
        spec = signature.inputs.get(alias)
        if spec is not None and not shape_fits(tensor.shape, spec.shape):
            return invalid_argument(
                f"Input {alias} has shape {describe_shape(tensor.shape)}, and the signature wants "
                f"{describe_spec(spec)}; a request of another shape ended the model's process"
            )
    return None
