"""BentoML as its documentation has adaptive batching: an API that is `batchable`, numpy in and out."""

import os

import bentoml
import numpy as np

from tests.benchmarks.peers.arguments import load_model


@bentoml.service(
    traffic={"timeout": 60, "max_concurrency": 1024},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Bench:
    def __init__(self) -> None:
        self.model = load_model(os.environ["BENCH_MODEL"])

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.model(x))
