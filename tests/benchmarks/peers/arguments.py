"""What every peer's server is told on its command line, and the model as a function of arrays."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def arguments() -> argparse.Namespace:
    """`model` is a version's folder, `name` what the peer calls it, `folder` where files may be written."""
    parser = argparse.ArgumentParser()
    for name in ("--model", "--name", "--folder"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--gc-freeze", action="store_true")
    return parser.parse_args()


def load_model(version: str) -> Callable[[Any], Any]:
    """The SavedModel as TensorFlow's guide has it: float rows in, the output `y` as an array out."""
    import tensorflow as tf

    loaded = tf.saved_model.load(version)
    serve = loaded.signatures["serving_default"]

    def predict(rows: Any, _kept: Any = loaded) -> Any:
        return serve(x=tf.constant(rows, tf.float32))["y"].numpy()

    return predict
