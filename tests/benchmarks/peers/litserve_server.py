"""LitServe as its documentation has it: a LitAPI with batching on."""

from typing import Any

import litserve
import numpy as np

from tests.benchmarks.peers.arguments import arguments, load_model


class Api(litserve.LitAPI):
    def setup(self, _device: str) -> None:
        self.model = load_model(arguments().model)

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
    server = litserve.LitServer(Api(max_batch_size=64, batch_timeout=0.001), accelerator="cpu")
    server.run(port=arguments().port, generate_client_file=False, log_level="warning", access_log=False)
