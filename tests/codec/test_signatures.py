"""codec.signatures: a model's signature map as values, whatever odd tensors it names."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec.protos import SignatureDefMap, TensorInfo
from jupyter_tfserve.codec.signatures import parse_signatures
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import TensorSpec


def tensor_info(name: str, dtype: int, shape: tuple[int, ...] | None) -> TensorInfo:
    info = TensorInfo(name=name, dtype=dtype)
    info.tensor_shape.SetInParent()
    if shape is None:
        info.tensor_shape.unknown_rank = True
    for size in shape or ():
        info.tensor_shape.dim.add().size = size
    return info


@pytest.fixture
def signature_map():
    signature_map = SignatureDefMap()
    signature = signature_map.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    signature.inputs["x"].CopyFrom(tensor_info("x:0", 1, (-1, 3)))
    signature.inputs["k"].CopyFrom(tensor_info("k:0", 3, ()))
    signature.outputs["y"].CopyFrom(tensor_info("y:0", 7, None))
    return signature_map


def parse_one(signature_map):
    return parse_signatures(signature_map.SerializeToString())["serving_default"]


def test_signature_names_its_tensors_when_parsed(signature_map):
    signature = parse_one(signature_map)
    assert signature.method_name == "tensorflow/serving/predict"
    assert signature.inputs == {
        "x": TensorSpec("x:0", "float", (-1, 3)),
        "k": TensorSpec("k:0", "int32", ()),
    }
    assert signature.outputs == {"y": TensorSpec("y:0", "string", None)}
    assert signature.defaults == {}


def test_signature_keeps_defaults_when_the_model_has_them(signature_map):
    default = signature_map.signature_def["serving_default"].defaults["k"]
    default.dtype = 3
    default.int_val.append(5)
    signature = parse_one(signature_map)
    assert signature.defaults["k"].dtype == np.int32
    assert signature.defaults["k"].tolist() == 5


def test_signature_drops_a_default_when_it_cannot_be_read(signature_map):
    signature_map.signature_def["serving_default"].defaults["k"].dtype = 20
    assert parse_one(signature_map).defaults == {}


def test_init_op_is_listed_when_the_model_has_one(signature_map):
    """TF2's `__saved_model_init_op`: no inputs, one output of no type."""
    init = signature_map.signature_def["__saved_model_init_op"]
    init.outputs["__saved_model_init_op"].CopyFrom(TensorInfo(name="NoOp"))
    init.outputs["__saved_model_init_op"].tensor_shape.unknown_rank = True
    signatures = parse_signatures(signature_map.SerializeToString())
    assert set(signatures) == {"serving_default", "__saved_model_init_op"}
    parsed = signatures["__saved_model_init_op"]
    assert parsed.outputs["__saved_model_init_op"] == TensorSpec("NoOp", "invalid", None)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (tensor_info("v:0", 101, ()), TensorSpec("v:0", "float", ())),
        (tensor_info("r:0", 20, ()), TensorSpec("r:0", "resource", ())),
        (tensor_info("q:0", 111, ()), TensorSpec("q:0", "qint8", ())),
        (tensor_info("n:0", 999, ()), TensorSpec("n:0", "type_899", ())),
        (TensorInfo(name="bare:0", dtype=1), TensorSpec("bare:0", "float", None)),
        (
            TensorInfo(coo_sparse={"values_tensor_name": "s/values:0"}, dtype=9),
            TensorSpec("s/values:0", "int64", None),
        ),
        (TensorInfo(composite_tensor={"components": [{"name": "c:0"}]}), TensorSpec("", "invalid", None)),
    ],
    ids=["reference", "resource", "quantized", "unheard_of", "no_shape", "sparse", "composite"],
)
def test_odd_tensor_is_described_when_parsed(signature_map, info, expected):
    signature_map.signature_def["serving_default"].outputs["y"].CopyFrom(info)
    assert parse_one(signature_map).outputs["y"] == expected


def test_no_signatures_when_the_map_is_empty():
    assert parse_signatures(b"") == {}


def test_parsing_fails_when_the_bytes_are_no_signature_map():
    with pytest.raises(ServingError) as caught:
        parse_signatures(b"\xff\xff\xff")
    assert caught.value.code is Code.INTERNAL
