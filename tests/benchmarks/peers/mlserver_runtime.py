"""MLServer's custom runtime, as its documentation has it."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import decode_args

from tests.benchmarks.peers.arguments import load_model


class Runtime(MLModel):
    async def load(self) -> bool:
        self.model = load_model(self.settings.parameters.uri)
        return True

    @decode_args
    async def predict(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.model(x))
