"""LitServe as its documentation has it: a LitAPI with batching on for each model, behind one server."""

from typing import Any

import litserve
import numpy as np

from tests.benchmarks.peers.arguments import arguments, load_model, version_folder


class Api(litserve.LitAPI):
    def __init__(self, name: str, version: str) -> None:
        super().__init__(max_batch_size=64, batch_timeout=0.001, api_path=f"/{name}")
        self.version = version

    def setup(self, _device: str) -> None:
        self.model = load_model(self.version)

    def decode_request(self, request) -> Any:
        return np.asarray(request["input"], np.float32)

    def batch(self, inputs: list[Any]) -> Any:
        return np.stack(inputs)

    def predict(self, x: Any, **_more: Any) -> Any:
        return self.model(x)

    def unbatch(self, output: Any) -> Any:
        return list(output)

    def encode_response(self, output: Any, **_more: Any) -> dict[str, Any]:
        return {"output": output.tolist()}


if __name__ == "__main__":
    told = arguments()
    apis = [Api(name, version_folder(told.models, name)) for name in told.names]
    server = litserve.LitServer(apis, accelerator="cpu")
    server.run(port=told.port, generate_client_file=False, log_level="warning", access_log=False)
