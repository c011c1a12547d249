"""What is measured: each workload is a model, a protocol, and how many connections ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.benchmarks.calls import Call, rest_predict
from tests.benchmarks.models import Model

GRPC_METHOD: Final = "tensorflow.serving.PredictionService/Predict"


@dataclass(frozen=True, slots=True)
class Workload:
    """`grpc` is "", "float_val" or "tensor_content"; without `peers` only we and the limits are measured.

    `best_batch`: the bare callable is measured at its best batch size too. `parsing`: simdjson alone is a limit.
    """

    name: str
    title: str
    model: str
    connections: tuple[int, ...]
    grpc: str = ""
    peers: bool = True
    best_batch: bool = False
    parsing: bool = False


WORKLOADS: Final = (
    Workload("floats", "3 floats, REST", "three_floats", (1, 16, 64, 256), best_batch=True),
    Workload("dense", "dense row of 784, REST", "dense", (64,), best_batch=True),
    Workload("image", "image 224x224x3 as nested JSON", "image", (16,), parsing=True),
    Workload("jpeg", "image 224x224x3 as b64 JPEG, REST", "jpeg", (16,), peers=False),
    Workload("strings", "strings, REST", "strings", (64,), peers=False),
    Workload("compute", "compute-bound net, REST", "compute", (1, 64), best_batch=True),
    Workload("grpc_floats", "3 floats, gRPC float_val", "three_floats", (1, 64), grpc="float_val"),
    Workload("grpc_image", "image 224x224x3, gRPC float_val", "image", (16,), grpc="float_val"),
    Workload("grpc_content", "image 224x224x3, gRPC tensor_content", "image", (16,), grpc="tensor_content"),
)


def our_call(workload: Workload, model: Model, rest_url: str, grpc_address: str) -> Call:
    """One row of the workload in TensorFlow Serving's contract."""
    if not workload.grpc:
        return rest_predict(rest_url, model.name, model.row)
    return predict_call(model, grpc_address, workload.grpc == "tensor_content")


def predict_call(model: Model, address: str, as_content: bool) -> Call:
    """A PredictRequest with one row as `x`, as `float_val` or as `tensor_content`."""
    import numpy as np

    from jupyter_tfserve.codec.protos import PredictRequest, PredictResponse
    from jupyter_tfserve.codec.tensor_proto import encode_tensor

    request = PredictRequest()
    request.model_spec.name = model.name
    encode_tensor(np.asarray([model.row], np.float32), request.inputs["x"], as_content)

    def read(answer: bytes) -> list[float]:
        return list(PredictResponse.FromString(answer).outputs["y"].float_val)

    return Call(f"http://{address}/{GRPC_METHOD}", request.SerializeToString(), read, grpc=True)
