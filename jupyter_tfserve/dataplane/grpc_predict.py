"""PredictRequest against a signature, and the answer's bytes: TensorFlow Serving's `predict_util.cc`, pure.

On the data path this is *bind* and *encode* of the gRPC side: no socket, no asyncio. The checks come in
upstream's order, so that a request with two faults names the same one: count, names and values, output
filter, dtypes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from jupyter_tfserve.codec.dtypes import tf_name
from jupyter_tfserve.codec.protos import PredictRequest
from jupyter_tfserve.codec.tensor_message import predict_response
from jupyter_tfserve.codec.tensor_proto import decode_tensor, tensor_bytes
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Signature, Tensor, Tensors


def bind_predict_request(
    request: PredictRequest, signature: Signature, limits: LimitOptions
) -> tuple[Tensors, tuple[str, ...]]:
    """Every input by alias, the signature's defaults filled in, and the output aliases to compute.

    INVALID_ARGUMENT in upstream's words; RESOURCE_EXHAUSTED when all inputs together exceed the limit.
    """
    _check_input_count(request.inputs, signature)
    inputs = _bind_inputs(request.inputs, signature, limits)
    outputs = _bind_outputs(request.output_filter, signature)
    _check_dtypes(inputs, signature)
    return inputs, outputs


def encode_predict_response(
    model_name: str, version: int, signature_name: str, outputs: Tensors, as_content: bool = False
) -> bytes:
    """A serialized PredictResponse. It names the version that answered; a label is never echoed."""
    return predict_response(model_name, version, signature_name, outputs, as_content)


def _check_input_count(sent: Collection[str], signature: Signature) -> None:
    if len(sent) == len(signature.inputs):
        return
    given, wanted = set(sent), set(signature.inputs)
    too_few = len(given) < len(wanted) and not signature.defaults
    if len(given) > len(wanted) or too_few:
        raise invalid_argument(
            f"input size does not match signature: {len(given)}!={len(wanted)} "
            f"len({{{_join(given)}}}) != len({{{_join(wanted)}}}). Sent extra: {{{_join(given - wanted)}}}. "
            f"Missing but required: {{{_join(wanted - given)}}}."
        )


def _bind_inputs(sent: Mapping[str, Any], signature: Signature, limits: LimitOptions) -> dict[str, Tensor]:
    inputs: dict[str, Tensor] = {}
    spent_bytes = used = 0
    for alias in sorted(signature.inputs):
        if alias in sent:
            inputs[alias] = _decode(alias, sent[alias], limits, spent_bytes)
            spent_bytes += tensor_bytes(inputs[alias])
            used += 1
        elif alias in signature.defaults:
            inputs[alias] = signature.defaults[alias]
        else:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {signature.inputs[alias].tensor_name}) "
                "not found in request and no default value provided. Inputs expected to be in the request "
                f"{{{_join(sent)}}}, or default input alias set: {_join(signature.defaults)}"
            )
    if used != len(sent):
        known = signature.inputs.keys() & sent.keys()
        raise invalid_argument(
            f"Inputs contains invalid name. Used request inputs: {_join(known)}, request input: {_join(sent)}"
        )
    return inputs


def _decode(alias: str, proto: Any, limits: LimitOptions, spent_bytes: int) -> Tensor:
    try:
        return decode_tensor(proto, limits, spent_bytes)
    except ServingError as error:
        if error.code is not Code.INVALID_ARGUMENT:
            raise
        raise invalid_argument(f"tensor parsing error: {alias}", hint=error.message) from None


def _bind_outputs(output_filter: Collection[str], signature: Signature) -> tuple[str, ...]:
    if not output_filter:
        return tuple(signature.outputs)
    chosen: dict[str, None] = {}
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{_join(signature.outputs)}}}."
            )
        if alias in chosen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        chosen[alias] = None
    return tuple(chosen)


def _check_dtypes(inputs: Tensors, signature: Signature) -> None:
    """What a TensorFlow session would say at the run, said before a batch is formed."""
    for index, alias in enumerate(sorted(inputs)):
        wanted, given = signature.inputs[alias].dtype, tf_name(inputs[alias].dtype)
        if wanted != given:
            raise invalid_argument(f"Expects arg[{index}] to be {wanted} but {given} is provided")


def _join(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
