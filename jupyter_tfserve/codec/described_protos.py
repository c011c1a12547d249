"""The messages of a client of TensorFlow Serving, for where neither TensorFlow nor tensorflow-serving-api is installed.

Fields that a client never reads are left out; whatever a server sends of them is kept as unknown. They live in a
pool of their own: TensorFlow may be imported afterwards, with messages of the same names.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from jupyter_tfserve.codec.described_messages import file_descriptor

_TENSORFLOW: Final = {
    "tensorflow.BytesList": {"value": "repeated bytes"},
    "tensorflow.FloatList": {"value": "repeated float"},
    "tensorflow.Int64List": {"value": "repeated int64"},
    "tensorflow.Feature": {
        "bytes_list": "oneof kind tensorflow.BytesList",
        "float_list": "oneof kind tensorflow.FloatList",
        "int64_list": "oneof kind tensorflow.Int64List",
    },
    "tensorflow.Features": {"feature": "map string tensorflow.Feature"},
    "tensorflow.Example": {"features": "tensorflow.Features"},
    "tensorflow.Dim": {"size": "int64", "name": "string"},
    "tensorflow.TensorShapeProto": {"dim": "repeated tensorflow.Dim = 2", "unknown_rank": "bool = 3"},
    "tensorflow.TensorProto": {
        "dtype": "int32 = 1",
        "tensor_shape": "tensorflow.TensorShapeProto = 2",
        "tensor_content": "bytes = 4",
        "float_val": "repeated float = 5",
        "double_val": "repeated double = 6",
        "int_val": "repeated int32 = 7",
        "string_val": "repeated bytes = 8",
        "scomplex_val": "repeated float = 9",
        "int64_val": "repeated int64 = 10",
        "bool_val": "repeated bool = 11",
        "dcomplex_val": "repeated double = 12",
        "half_val": "repeated int32 = 13",
        "uint32_val": "repeated uint32 = 16",
        "uint64_val": "repeated uint64 = 17",
        "float8_val": "bytes = 18",
    },
    "tensorflow.CooSparse": {
        "values_tensor_name": "string",
        "indices_tensor_name": "string",
        "dense_shape_tensor_name": "string",
    },
    "tensorflow.TensorInfo": {
        "name": "oneof encoding string = 1",
        "dtype": "int32 = 2",
        "tensor_shape": "tensorflow.TensorShapeProto = 3",
        "coo_sparse": "oneof encoding tensorflow.CooSparse = 4",
    },
    "tensorflow.SignatureDef": {
        "inputs": "map string tensorflow.TensorInfo",
        "outputs": "map string tensorflow.TensorInfo",
        "method_name": "string",
        "defaults": "map string tensorflow.TensorProto",
    },
}
_SERVING: Final = {
    "tensorflow.serving.ModelSpec": {
        "name": "string = 1",
        "version": "oneof version_choice google.protobuf.Int64Value = 2",
        "signature_name": "string = 3",
        "version_label": "oneof version_choice string = 4",
    },
    "tensorflow.serving.PredictRequest": {
        "model_spec": "tensorflow.serving.ModelSpec",
        "inputs": "map string tensorflow.TensorProto",
        "output_filter": "repeated string",
    },
    "tensorflow.serving.PredictResponse": {
        "outputs": "map string tensorflow.TensorProto",
        "model_spec": "tensorflow.serving.ModelSpec",
    },
    "tensorflow.serving.ExampleList": {"examples": "repeated tensorflow.Example"},
    "tensorflow.serving.ExampleListWithContext": {
        "examples": "repeated tensorflow.Example",
        "context": "tensorflow.Example",
    },
    "tensorflow.serving.Input": {
        "example_list": "oneof kind tensorflow.serving.ExampleList",
        "example_list_with_context": "oneof kind tensorflow.serving.ExampleListWithContext",
    },
    "tensorflow.serving.Class": {"label": "string", "score": "float"},
    "tensorflow.serving.Classifications": {"classes": "repeated tensorflow.serving.Class"},
    "tensorflow.serving.ClassificationResult": {
        "classifications": "repeated tensorflow.serving.Classifications"
    },
    "tensorflow.serving.ClassificationRequest": {
        "model_spec": "tensorflow.serving.ModelSpec",
        "input": "tensorflow.serving.Input",
    },
    "tensorflow.serving.ClassificationResponse": {
        "result": "tensorflow.serving.ClassificationResult",
        "model_spec": "tensorflow.serving.ModelSpec",
    },
    "tensorflow.serving.Regression": {"value": "float"},
    "tensorflow.serving.RegressionResult": {"regressions": "repeated tensorflow.serving.Regression"},
    "tensorflow.serving.RegressionRequest": {
        "model_spec": "tensorflow.serving.ModelSpec",
        "input": "tensorflow.serving.Input",
    },
    "tensorflow.serving.RegressionResponse": {
        "result": "tensorflow.serving.RegressionResult",
        "model_spec": "tensorflow.serving.ModelSpec",
    },
    "tensorflow.serving.StatusProto": {"error_code": "int32", "error_message": "string"},
    "tensorflow.serving.ModelVersionStatus": {
        "version": "int64",
        "state": "int32",
        "status": "tensorflow.serving.StatusProto",
    },
    "tensorflow.serving.GetModelStatusRequest": {"model_spec": "tensorflow.serving.ModelSpec"},
    "tensorflow.serving.GetModelStatusResponse": {
        "model_version_status": "repeated tensorflow.serving.ModelVersionStatus"
    },
    "tensorflow.serving.GetModelMetadataRequest": {
        "model_spec": "tensorflow.serving.ModelSpec",
        "metadata_field": "repeated string",
    },
    "tensorflow.serving.GetModelMetadataResponse": {
        "model_spec": "tensorflow.serving.ModelSpec",
        "metadata": "map string google.protobuf.Any",
    },
    "tensorflow.serving.SignatureDefMap": {"signature_def": "map string tensorflow.SignatureDef"},
}
_DATA_TYPES: Final = (
    "INVALID", "FLOAT", "DOUBLE", "INT32", "UINT8", "INT16", "INT8", "STRING", "COMPLEX64", "INT64", "BOOL",
    "QINT8", "QUINT8", "QINT32", "BFLOAT16", "QINT16", "QUINT16", "UINT16", "COMPLEX128", "HALF",
    "RESOURCE", "VARIANT", "UINT32", "UINT64", "FLOAT8_E5M2", "FLOAT8_E4M3FN", "FLOAT8_E4M3FNUZ",
    "FLOAT8_E4M3B11FNUZ", "FLOAT8_E5M2FNUZ", "INT4", "UINT4", "INT2", "UINT2", "FLOAT4_E2M1FN",
)  # fmt: skip
"""By their numbers, from 0."""


def _pool() -> Any:
    # protobuf's types lack the pool's methods.
    pool: Any = descriptor_pool.DescriptorPool()
    for file in (any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR):
        pool.AddSerializedFile(file.serialized_pb)
    tensorflow = file_descriptor(_TENSORFLOW)
    data_type = tensorflow.enum_type.add(name="DataType")
    for number, name in enumerate(_DATA_TYPES):
        data_type.value.add(name=f"DT_{name}", number=number)
    pool.Add(tensorflow)
    serving = file_descriptor(_SERVING, [wrappers_pb2.Int64Value, any_pb2.Any])
    serving.dependency.append(tensorflow.name)
    pool.Add(serving)
    return pool


_POOL: Final = _pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


DataType: Any = EnumTypeWrapper(_POOL.FindEnumTypeByName("tensorflow.DataType"))
Example = _message("tensorflow.Example")
Feature = _message("tensorflow.Feature")
SignatureDef = _message("tensorflow.SignatureDef")
TensorProto = _message("tensorflow.TensorProto")
ClassificationRequest = _message("tensorflow.serving.ClassificationRequest")
ClassificationResponse = _message("tensorflow.serving.ClassificationResponse")
GetModelMetadataRequest = _message("tensorflow.serving.GetModelMetadataRequest")
GetModelMetadataResponse = _message("tensorflow.serving.GetModelMetadataResponse")
GetModelStatusRequest = _message("tensorflow.serving.GetModelStatusRequest")
GetModelStatusResponse = _message("tensorflow.serving.GetModelStatusResponse")
PredictRequest = _message("tensorflow.serving.PredictRequest")
PredictResponse = _message("tensorflow.serving.PredictResponse")
RegressionRequest = _message("tensorflow.serving.RegressionRequest")
RegressionResponse = _message("tensorflow.serving.RegressionResponse")
SignatureDefMap = _message("tensorflow.serving.SignatureDefMap")
