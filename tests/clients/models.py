"""The models of the examples: a tutorial's regression, and an MLP for digits saved in three ways.

    python -m tests.clients.models BASE [--digits=mnist]

BASE then has `regression_experiments` (versions 1 and 2), `MLP` (what Keras exports), `MLP_call` (signature `call`)
and `MLP_jpeg` (JPEG files in). A program of its own, since a test process should not import TensorFlow.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from tests.clients.digits import load_digits


def make_regression(base: Path) -> None:
    """y = 2 x - 1 by one dense layer, and a second version that is half as steep."""
    for version, slope in ((1, 2.0), (2, 1.0)):
        layer = keras.layers.Dense(1)
        model = keras.Sequential([keras.Input((1,)), layer])
        layer.set_weights([np.array([[slope]], np.float32), np.array([-1], np.float32)])
        model.export(base / "regression_experiments" / str(version), verbose=False)


def train_mlp(images: Any, labels: Any) -> Any:
    """The usual MLP for MNIST: pixels from 0 to 1 in, ten probabilities out."""
    keras.utils.set_random_seed(7)
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((28, 28)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images / np.float32(255), labels, epochs=6, batch_size=64, verbose=0)
    return model


class CallableMlp(keras.Model):
    """A model whose `call` can be a signature as it stands: a tf.function that says what it takes.

    A Keras 3 model's own `call` cannot: `tf.saved_model.save` refuses a function without an input signature.
    """

    def __init__(self, layers: Any) -> None:
        super().__init__()
        self.inner = layers

    @tf.function(input_signature=[tf.TensorSpec([None, 28, 28], tf.float32, name="images")])
    def call(self, images: Any) -> Any:
        return {"probabilities": self.inner(images)}


def save_jpeg(mlp: Any, path: Path) -> None:
    """images: string [-1], JPEG files of any size -> probabilities float [-1,10]."""

    def decode(file: Any) -> Any:
        image = tf.image.resize(tf.io.decode_jpeg(file, channels=1), [28, 28])
        return tf.reshape(image, [28, 28]) / 255.0

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="images")])
    def serve(images: Any) -> Any:
        pixels = tf.map_fn(decode, images, fn_output_signature=tf.TensorSpec([28, 28], tf.float32))
        return {"probabilities": mlp(pixels)}

    module = tf.Module()
    module.mlp = mlp
    tf.saved_model.save(module, str(path), signatures={"serving_default": serve})


def main(base: Path, source: str) -> None:
    """Makes them all."""
    tf.get_logger().setLevel("ERROR")
    make_regression(base)
    mlp = train_mlp(*load_digits(source))
    mlp.export(base / "MLP" / "1", verbose=False)
    model = CallableMlp(mlp)
    tf.saved_model.save(model, str(base / "MLP_call" / "1"), signatures={"call": model.call})
    save_jpeg(mlp, base / "MLP_jpeg" / "1")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "mnist" if "--digits=mnist" in sys.argv else "rendered")
