"""Predictions over REST with numpy's files instead of JSON. For jupyter_tfserve's servers: TensorFlow Serving knows none.

Numbers alone can travel so; who calls this has looked (`can_travel`).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from jupyter_tfserve.client.http_caller import HttpCaller
from jupyter_tfserve.codec.media_types import Media
from jupyter_tfserve.codec.npy import encode_npy, encode_npz, fitted, parse_npy, parse_npz
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Signature, Tensor, Tensors, TensorSpec

_MAX_ANSWER_BYTES: Final = 2**40
_ANSWER: Final = "The answer"


def can_travel(signature: Signature) -> bool:
    """Whether no input or output is of strings, which numpy's files cannot hold."""
    specs = [*signature.inputs.values(), *signature.outputs.values()]
    return all(spec.dtype != "string" for spec in specs)


def predict_arrays(
    caller: HttpCaller, path: str, key: str, inputs: Tensors, signature: Signature, timeout_s: float | None
) -> dict[str, Tensor]:
    """The outputs by alias. `path` ends in `:predict`, `key` is the signature's, empty for the default one."""
    if len(inputs) == 1 == len(signature.inputs):
        body, media = encode_npy(next(iter(inputs.values()))), Media.NPY
    else:
        body, media = encode_npz(inputs), Media.NPZ
    if key:
        path += "?" + urlencode({"signature_name": key})
    wanted = Media.NPY if len(signature.outputs) == 1 else Media.NPZ
    headers = {"Content-Type": media.value, "Accept": wanted.value}
    answer = caller.exchange("POST", path, body, timeout_s, headers)
    if answer.headers.get("content-type") != wanted.value:
        raise ServingError(Code.INTERNAL, "The answer is none of numpy's files", 'Use encoding="json".')
    if wanted is Media.NPY:
        alias, spec = next(iter(signature.outputs.items()))
        return {alias: _typed(parse_npy(answer.body, _MAX_ANSWER_BYTES, _ANSWER), spec)}
    tensors = parse_npz(answer.body, _MAX_ANSWER_BYTES)
    return {alias: _typed(tensor, signature.outputs.get(alias)) for alias, tensor in tensors.items()}


def _typed(tensor: Tensor, spec: TensorSpec | None) -> Tensor:
    return tensor if spec is None else fitted(tensor, spec)
