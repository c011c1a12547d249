"""KServe's Python server as its documentation has it: a `Model` with `load` and `predict`, both protocols."""

from __future__ import annotations

import sys
from typing import Any

from tests.benchmarks.peers.arguments import arguments, load_model, version_folder

ARGUMENTS = arguments()
sys.argv = sys.argv[:1]  # KServe reads the command line when it is imported

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer  # noqa: E402


class Net(Model):
    def load(self) -> bool:
        self.model = load_model(version_folder(ARGUMENTS.models, self.name))
        self.ready = True
        return True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        if not isinstance(payload, InferRequest):
            return {"predictions": self.model(payload["instances"]).tolist()}
        answer = self.model(payload.inputs[0].as_numpy())
        output = InferOutput("y", list(answer.shape), "FP32")
        output.set_data_from_numpy(answer, binary_data=True)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    nets = [Net(name) for name in ARGUMENTS.names]
    for net in nets:
        net.load()
    ModelServer(
        http_port=ARGUMENTS.port,
        grpc_port=ARGUMENTS.grpc_port,
        workers=1,
        enable_latency_logging=False,
    ).start(nets)
