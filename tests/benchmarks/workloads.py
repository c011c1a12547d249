"""What is measured side by side: each workload is a model or two, a protocol, how many connections ask, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.benchmarks.calls import Call, rest_predict
from tests.benchmarks.models import Model

GRPC_METHOD: Final = "tensorflow.serving.PredictionService/Predict"
STEADY_S: Final = 8.0
"""Long enough that what learns under load has learned."""


@dataclass(frozen=True, slots=True)
class Workload:
    """`models` are asked in turn. `grpc` is "", "float_val" or "tensor_content".

    `connections` ask us and the limits, `peer_connections` the peers too. `rate` 0 is a closed loop, else so many
    requests a second, whatever the server does. `best_batch`: the bare callable is measured at its best batch sizes too;
    `parsing`: simdjson alone is a limit. A turn lasts `times` as long as others; `warm_up_s` is the least that is not
    counted before them.
    """

    name: str
    title: str
    models: tuple[str, ...]
    connections: tuple[int, ...]
    peer_connections: tuple[int, ...] = ()
    grpc: str = ""
    rate: float = 0.0
    best_batch: bool = False
    parsing: bool = False
    times: float = 1.0
    warm_up_s: float = 1.0


FLOATS, DENSE, IMAGE, COMPUTE = ("three_floats",), ("dense",), ("image",), ("compute",)

# What promises are about comes first: a run that is cut short has it.
WORKLOADS: Final = (
    Workload("floats", "3 floats, REST", FLOATS, (1, 16, 64, 256), (64,), warm_up_s=2),
    Workload("dense", "dense row of 784, REST", DENSE, (64,), (64,), warm_up_s=2),
    Workload("image", "image 224x224x3 as nested JSON", IMAGE, (1, 16), (1,), parsing=True, times=2),
    Workload(
        "compute",
        "compute-bound net, REST",
        COMPUTE,
        (1, 64),
        (64,),
        best_batch=True,
        warm_up_s=STEADY_S,
    ),
    Workload("grpc_floats", "3 floats, gRPC float_val", FLOATS, (1, 64), (64,), "float_val", warm_up_s=2),
    Workload("two_models", "3 floats and a dense row in turn, REST", (*FLOATS, *DENSE), (64,), (64,)),
    Workload("grpc_image", "image 224x224x3, gRPC float_val", IMAGE, (1,), (1,), "float_val"),
    Workload("grpc_content", "image 224x224x3, gRPC tensor_content", IMAGE, (1,), (1,), "tensor_content"),
    Workload(
        "grpc_compute",
        "compute-bound net, gRPC tensor_content",
        COMPUTE,
        (64,),
        (64,),
        "tensor_content",
        best_batch=True,
        warm_up_s=STEADY_S,
    ),
    Workload("jpeg", "image 224x224x3 as b64 JPEG, REST", ("jpeg",), (16,)),
    Workload("strings", "strings, REST", ("strings",), (64,)),
    Workload("open_200", "3 floats, REST, 200 requests/s", FLOATS, (64,), (64,), rate=200),
    Workload("open_1000", "3 floats, REST, 1,000 requests/s", FLOATS, (64,), (64,), rate=1000),
)


def our_call(workload: Workload, model: Model, rest_url: str, grpc_address: str) -> Call:
    """One row of the model in TensorFlow Serving's contract."""
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
