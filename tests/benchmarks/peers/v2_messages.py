"""The Open Inference Protocol's messages as far as one float tensor needs them: no package of ours has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METHOD = "inference.GRPCInferenceService/ModelInfer"
_PACKAGE = "jupyter_tfserve_bench"
_INT64, _STRING, _BYTES, _FLOAT, _MESSAGE = 3, 9, 12, 2, 11
_ONE, _MANY = 1, 3
_MESSAGES: dict[str, list[tuple[str, int, int, int, str]]] = {
    "Contents": [("fp32_contents", 6, _FLOAT, _MANY, "")],
    "Tensor": [
        ("name", 1, _STRING, _ONE, ""),
        ("datatype", 2, _STRING, _ONE, ""),
        ("shape", 3, _INT64, _MANY, ""),
        ("contents", 5, _MESSAGE, _ONE, "Contents"),
    ],
    "Request": [
        ("model_name", 1, _STRING, _ONE, ""),
        ("inputs", 5, _MESSAGE, _MANY, "Tensor"),
        ("raw_input_contents", 7, _BYTES, _MANY, ""),
    ],
    "Response": [
        ("outputs", 5, _MESSAGE, _MANY, "Tensor"),
        ("raw_output_contents", 6, _BYTES, _MANY, ""),
    ],
}


def _message_types() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label, type_name in fields:
            described = message.field.add(name=field, number=number, type=kind, label=label)
            if type_name:
                described.type_name = f".{_PACKAGE}.{type_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_TYPES = _message_types()


def encode_request(model: str, row: Any, raw: bool) -> bytes:
    """A ModelInferRequest with one row as `x`: raw bytes, or `fp32_contents`."""
    rows = np.asarray([row], np.float32)
    request = _TYPES["Request"](model_name=model)
    tensor = request.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    if raw:
        request.raw_input_contents.append(rows.tobytes())
    else:
        tensor.contents.fp32_contents.extend(rows.ravel().tolist())
    return bytes(request.SerializeToString())


def decode_response(body: bytes) -> Any:
    """The first output's numbers."""
    response = _TYPES["Response"].FromString(body)
    if response.raw_output_contents:
        return np.frombuffer(response.raw_output_contents[0], np.float32)
    return np.asarray(response.outputs[0].contents.fp32_contents)
