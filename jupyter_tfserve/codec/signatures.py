"""A SavedModel's signature map, from the bytes that a worker hands over to `types.Signature` values.

Read once per loaded version; both binders check requests against the result. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import numpy as np
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from jupyter_tfserve.codec.client_protos import DataType, SignatureDef, SignatureDefMap
from jupyter_tfserve.codec.dtypes import DTYPES, by_number, tf_name
from jupyter_tfserve.codec.tensor_proto import decode_tensor
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Signature, Tensor, TensorSpec

PREDICT_METHODS: Final = tuple(f"tensorflow/serving/{verb}" for verb in ("predict", "classify", "regress"))
"""The method names of signatures that Predict takes where names are checked."""

_REFERENCE_OFFSET: Final = 100
"""DT_FLOAT_REF is DT_FLOAT + 100, and so on. A TF1 variable is fed and fetched as its plain type."""


def parse_signatures(signature_def_map: bytes) -> dict[str, Signature]:
    """Every signature of a serialized SignatureDefMap by its key, `__saved_model_init_op` included.

    A tensor that cannot cross the wire (resource, variant, none at all) keeps TensorFlow's name of its dtype,
    which is then not in `dtypes.DTYPES`. INTERNAL if the bytes are no SignatureDefMap.
    """
    parsed = SignatureDefMap()
    try:
        parsed.ParseFromString(signature_def_map)
    except DecodeError:
        raise ServingError(Code.INTERNAL, "The model's signatures could not be read") from None
    return {key: _signature(signature) for key, signature in parsed.signature_def.items()}


def check_predict_method(signature: Signature) -> None:
    """INTERNAL unless the signature's method is predict, classify or regress (upstream's optional check)."""
    if signature.method_name not in PREDICT_METHODS:
        raise ServingError(
            Code.INTERNAL,
            f"Expected prediction signature method_name to be one of {{{', '.join(PREDICT_METHODS)}}}. "
            f"Was: {signature.method_name}",
        )


def signature_text(signature: Signature) -> str:
    """The signature as TensorFlow Serving's error texts print it: a SignatureDef in text format."""
    proto = SignatureDef(method_name=signature.method_name)
    for specs, infos in ((signature.inputs, proto.inputs), (signature.outputs, proto.outputs)):
        for alias, spec in specs.items():
            info = infos[alias]
            info.name = spec.tensor_name
            info.dtype = DTYPES[spec.dtype].number if spec.dtype in DTYPES else 0
            if spec.shape is None:
                info.tensor_shape.unknown_rank = True
            else:
                info.tensor_shape.SetInParent()
                for size in spec.shape:
                    info.tensor_shape.dim.add(size=size)
    return str(text_format.MessageToString(proto))


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as TensorFlow prints it: `[2,3]`."""
    return f"[{','.join(map(str, shape))}]"


def data_type_name(dtype: np.dtype[Any]) -> str:
    """The name of a tensor's dtype in TensorFlow's enum: `DT_FLOAT`. REQUIRES: TensorFlow has the dtype."""
    return str(DataType.Name(DTYPES[tf_name(dtype)].number))


def _signature(proto: Any) -> Signature:
    return Signature(
        method_name=proto.method_name,
        inputs={alias: _tensor_spec(tensor) for alias, tensor in proto.inputs.items()},
        outputs={alias: _tensor_spec(tensor) for alias, tensor in proto.outputs.items()},
        defaults=_defaults(proto.defaults),
    )


def _tensor_spec(proto: Any) -> TensorSpec:
    return TensorSpec(_tensor_name(proto), _dtype_name(proto.dtype), _shape(proto))


def _tensor_name(proto: Any) -> str:
    """The graph's tensor. A sparse one goes by its values, a composite one has no single name."""
    name: str = proto.coo_sparse.values_tensor_name if proto.HasField("coo_sparse") else proto.name
    return name


def _dtype_name(number: int) -> str:
    plain = number - _REFERENCE_OFFSET if number > _REFERENCE_OFFSET else number
    dtype = by_number(plain)
    if dtype is not None:
        return dtype.name
    known = DataType.DESCRIPTOR.values_by_number
    return str(known[plain].name).removeprefix("DT_").lower() if plain in known else f"type_{plain}"


def _shape(proto: Any) -> tuple[int, ...] | None:
    """None for an unknown rank, and for a signature that records no shape; a scalar's is there and empty."""
    if not proto.HasField("tensor_shape") or proto.tensor_shape.unknown_rank:
        return None
    return tuple(dim.size for dim in proto.tensor_shape.dim)


def _defaults(protos: Any) -> dict[str, Tensor]:
    """The defaults that can be read. One that cannot is as if it were missing: its input is demanded."""
    limits = LimitOptions()
    defaults: dict[str, Tensor] = {}
    for alias, proto in protos.items():
        with contextlib.suppress(ServingError):
            defaults[alias] = decode_tensor(proto, limits)
    return defaults
