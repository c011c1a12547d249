"""The demo's two regression models, the same as the quick-start notebook's: noisy points, a line and a curve.

Imports Keras inside its functions; run as a program it writes the models and is gone, so that whoever
wants them needs no TensorFlow: `python -m jupyter_tfserve.notebook.demo_models FOLDER`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from jupyter_tfserve.notebook.save import save_version
from jupyter_tfserve.types import Tensor

MODEL_NAME: Final = "regression_experiments"
POINTS: Final = 200
EPOCHS: Final = 200


def make_data() -> tuple[Tensor, Tensor]:
    """The points: `x` of shape [200, 1] from 0 to 6, and noisy `y`."""
    random = np.random.default_rng(seed=7)
    x = np.sort(random.uniform(0.0, 6.0, (POINTS, 1)), axis=0).astype("float32")
    y = (0.5 * x + np.sin(x) + random.normal(0.0, 0.15, x.shape)).astype("float32")
    return x, y


def make_models(base_path: Path) -> None:
    """Version 1, a line, and version 2, a curve, are under `base_path`; versions that exist are kept."""
    for number, build in enumerate((_line, _curve), start=1):
        if not (base_path / str(number)).exists():
            save_version(_train(build), base_path)


def _train(build: Callable[[], Any]) -> Any:
    import keras

    keras.utils.set_random_seed(7)
    x, y = make_data()
    model = build()
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse")
    model.fit(x, y, epochs=EPOCHS, batch_size=POINTS, verbose=0)
    return model


def _line() -> Any:
    import keras

    return keras.Sequential([keras.Input((1,), name="x"), keras.layers.Dense(1)])


def _curve() -> Any:
    import keras

    hidden = [keras.layers.Dense(32, activation="tanh") for _ in range(2)]
    return keras.Sequential([keras.Input((1,), name="x"), *hidden, keras.layers.Dense(1)])


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    make_models(Path(sys.argv[1]))
