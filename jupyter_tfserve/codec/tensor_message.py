"""Serialized TensorProtos and PredictResponses, put together from their parts as they stand on the wire.

On the data path this is the last step of a gRPC answer. Numbers of fixed width are an array's own buffer there; making
and filling messages takes four times as long for three floats. Other tensors go through the message.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from jupyter_tfserve.codec.client_protos import TensorProto
from jupyter_tfserve.codec.dtypes import STRING, by_numpy
from jupyter_tfserve.codec.protos import ModelSpec, PredictResponse
from jupyter_tfserve.codec.tensor_proto import FIXED_WIDTH_TAGS, encode_tensor, write_varint
from jupyter_tfserve.types import Tensor, Tensors

_LENGTH_DELIMITED: Final = 2
_CACHED: Final = 256


def _tag(message: Any, field: str) -> bytes:
    return bytes((message.DESCRIPTOR.fields_by_name[field].number << 3 | _LENGTH_DELIMITED,))


_CONTENT: Final = _tag(TensorProto, "tensor_content")
_OUTPUTS: Final = _tag(PredictResponse, "outputs")
_SPEC: Final = _tag(PredictResponse, "model_spec")
_ENTRY: Final = PredictResponse.DESCRIPTOR.fields_by_name["outputs"].message_type
_KEY: Final = bytes((_ENTRY.fields_by_name["key"].number << 3 | _LENGTH_DELIMITED,))
_VALUE: Final = bytes((_ENTRY.fields_by_name["value"].number << 3 | _LENGTH_DELIMITED,))


def predict_response(
    model_name: str, version: int, signature_name: str, outputs: Tensors, as_content: bool = False
) -> bytes:
    """A serialized PredictResponse; `as_content`: numbers are `tensor_content`, not their type's field."""
    parts: list[bytes] = []
    for alias, tensor in outputs.items():
        head, numbers = _tensor_parts(tensor, as_content)
        before = _before_tensor(alias, len(head) + len(numbers))
        parts += (before, head, numbers)
    parts.append(_model_spec(model_name, version, signature_name))
    return b"".join(parts)


def _tensor_parts(tensor: Tensor, as_content: bool) -> tuple[bytes, bytes]:
    """A serialized TensorProto: all but its numbers, and these."""
    dtype = by_numpy(tensor.dtype)
    if dtype is not None and dtype is not STRING:
        tag = _CONTENT if as_content else FIXED_WIDTH_TAGS.get(dtype.name)
        if tag is not None:
            return _tensor_head(dtype.number, tensor.shape, tag, tensor.nbytes), tensor.tobytes()
    message = TensorProto()
    encode_tensor(tensor, message, as_content)
    return message.SerializeToString(), b""


@lru_cache(_CACHED)
def _tensor_head(dtype: int, shape: tuple[int, ...], tag: bytes, size: int) -> bytes:
    """A tensor up to its numbers."""
    message = TensorProto(dtype=dtype)
    message.tensor_shape.SetInParent()  # a scalar says `tensor_shape {}`
    for dimension in shape:
        message.tensor_shape.dim.add().size = dimension
    encoded: bytes = message.SerializeToString()
    return encoded + tag + write_varint(size) if size else encoded


@lru_cache(_CACHED)
def _before_tensor(alias: str, size: int) -> bytes:
    """An entry of the outputs up to its tensor, which has `size` bytes."""
    name = alias.encode()
    begin = _KEY + write_varint(len(name)) + name + _VALUE + write_varint(size)
    return _OUTPUTS + write_varint(len(begin) + size) + begin


@lru_cache(_CACHED)
def _model_spec(name: str, version: int, signature_name: str) -> bytes:
    spec = ModelSpec(name=name, signature_name=signature_name)
    spec.version.value = version
    encoded: bytes = spec.SerializeToString()
    return _SPEC + write_varint(len(encoded)) + encoded
