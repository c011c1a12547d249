"""The models that are measured, with a row of each and its answer: `python -m tests.benchmarks.models BASE`.

Writes BASE/NAME/1 and BASE/NAME.json (`{"row", "expected"}`). Every model has one input `x` and one output `y`. Runs in a
process of its own, which has TensorFlow; `read_model` is for those that have not.
"""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its folder of versions, a row as JSON has it, and what the model answers for that row."""

    name: str
    path: Path
    row: Any
    expected: Any


def read_model(base: Path, name: str) -> Model:
    """A model that `make_models` has made."""
    written = json.loads((base / f"{name}.json").read_text())
    return Model(name, base / name, written["row"], written["expected"])


def make_models(base: Path) -> None:
    """Makes every model, unless they are there already."""
    if not (base / "done").exists():
        subprocess.run([sys.executable, "-m", "tests.benchmarks.models", str(base)], cwd=ROOT, check=True)


def _weights(*shape: int) -> Any:
    return np.random.default_rng(7).normal(0, 0.02, shape).astype("float32")


def _numbers(*shape: int) -> Any:
    # Four decimals, as people send them: a float's shortest text would have up to nine digits.
    return np.random.default_rng(11).random(shape).round(4).tolist()


def _matmul_net(tf: Any, *widths: int) -> tuple[Callable[[Any], Any], list[Any]]:
    layers = [tf.Variable(_weights(*pair)) for pair in itertools.pairwise(widths)]

    def serve(x: Any) -> Any:
        for layer in layers[:-1]:
            x = tf.nn.relu(x @ layer)
        return {"y": x @ layers[-1]}

    return serve, layers


def _image_means(tf: Any) -> Callable[[Any], Any]:
    return lambda x: {"y": tf.reduce_mean(x, axis=[1, 2])}


def _jpeg_means(tf: Any) -> Callable[[Any], Any]:
    def decoded(text: Any) -> Any:
        image = tf.image.convert_image_dtype(tf.io.decode_jpeg(text, channels=3), tf.float32)
        return tf.reduce_mean(image, axis=[0, 1])

    return lambda x: {"y": tf.map_fn(decoded, x, fn_output_signature=tf.TensorSpec([3], tf.float32))}


def _jpeg(tf: Any) -> bytes:
    ramp = np.linspace(0, 255, 224 * 224 * 3).reshape(224, 224, 3).astype("uint8")
    return bytes(tf.io.encode_jpeg(ramp).numpy())


def _large(tf: Any) -> tuple[Callable[[Any], Any], list[Any]]:
    """200 MB of weights, of which a request needs a few."""
    weights = tf.Variable(_weights(50_000, 1_000))
    return (lambda x: {"y": x @ weights[:3, :4]}), [weights]


def _save(tf: Any, base: Path, name: str, function: Any, shape: Any, dtype: str, row: Any, kept: Any) -> None:
    module = tf.Module()
    module.kept = kept
    serve = tf.function(function).get_concrete_function(x=tf.TensorSpec(shape, dtype, name="x"))
    tf.saved_model.save(module, str(base / name / "1"), signatures={"serving_default": serve})
    value = base64.b64decode(row["b64"]) if isinstance(row, dict) else row
    answer = serve(x=tf.constant([value], dtype))["y"].numpy()
    expected = [text.decode() for text in answer] if answer.dtype == object else answer.tolist()
    (base / f"{name}.json").write_text(json.dumps({"row": row, "expected": expected}))


def _make_all(base: Path) -> None:
    import tensorflow as tf

    base.mkdir(parents=True, exist_ok=True)
    three, three_kept = _matmul_net(tf, 3, 1)
    dense, dense_kept = _matmul_net(tf, 784, 128, 10)
    compute, compute_kept = _matmul_net(tf, 784, 4096, 4096, 10)
    large, large_kept = _large(tf)
    jpeg = {"b64": base64.b64encode(_jpeg(tf)).decode()}
    image = [None, 224, 224, 3]
    _save(tf, base, "three_floats", three, [None, 3], "float32", [1.0, 2.0, 5.0], three_kept)
    _save(tf, base, "dense", dense, [None, 784], "float32", _numbers(784), dense_kept)
    _save(tf, base, "compute", compute, [None, 784], "float32", _numbers(784), compute_kept)
    _save(tf, base, "image", _image_means(tf), image, "float32", _numbers(224, 224, 3), [])
    _save(tf, base, "jpeg", _jpeg_means(tf), [None], "string", jpeg, [])
    _save(
        tf, base, "strings", lambda x: {"y": tf.strings.upper(x)}, [None], "string", "a few plain words", []
    )
    sums = lambda x: {"y": tf.reduce_sum(x, axis=1, keepdims=True)}  # noqa: E731
    _save(tf, base, "any_width", sums, [None, None], "float32", [1.0, 2.0], [])
    _save(tf, base, "large", large, [None, 3], "float32", [1.0, 2.0, 5.0], large_kept)
    (base / "done").touch()


if __name__ == "__main__":
    _make_all(Path(sys.argv[1]))
