"""What every peer's server is told on its command line, and a model as a function of arrays."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def arguments() -> argparse.Namespace:
    """`models` is the folder of models, `names` those to serve, `folder` where files may be written."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--names", type=lambda names: names.split(","), required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--gc-freeze", action="store_true")
    return parser.parse_args()


def version_folder(models: Path, name: str) -> str:
    """Where a model's only version is."""
    return str(models / name / "1")


def load_model(version: str) -> Callable[[Any], Any]:
    """The SavedModel as TensorFlow's guide has it: float rows in, the output `y` as an array out."""
    import tensorflow as tf

    loaded = tf.saved_model.load(version)
    serve = loaded.signatures["serving_default"]

    def predict(rows: Any, _kept: Any = loaded) -> Any:
        return serve(x=tf.constant(rows, tf.float32))["y"].numpy()

    return predict
