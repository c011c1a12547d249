"""BentoML as its documentation has adaptive batching: an API for each model that is `batchable`, numpy in and out."""

import os
from pathlib import Path

import bentoml
import numpy as np

from tests.benchmarks.peers.arguments import load_model, version_folder

MODELS = Path(os.environ["BENCH_MODELS"])
BATCHING = {"batchable": True, "max_batch_size": 64, "max_latency_ms": 1000}


@bentoml.service(
    traffic={"timeout": 60, "max_concurrency": 1024},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Bench:
    def __init__(self) -> None:
        names = os.environ["BENCH_NAMES"].split(",")
        self.models = {name: load_model(version_folder(MODELS, name)) for name in names}

    @bentoml.api(**BATCHING)
    def three_floats(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.models["three_floats"](x))

    @bentoml.api(**BATCHING)
    def dense(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.models["dense"](x))

    @bentoml.api(**BATCHING)
    def image(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.models["image"](x))

    @bentoml.api(**BATCHING)
    def compute(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.models["compute"](x))
