"""Small real SavedModels, one function each: `make_x(base, version)` writes and returns `base/version`.

Run as a program it makes them in a process of its own, since a test process should not import TensorFlow:

    python -m tests.saved_models BASE NAME=VERSION...      BASE/NAME/VERSION for each; if none, all at 1
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tests import broken_models, lite_models
from tests.contract.echo import DTYPES
from tests.model_writer import build_model, save_model

v1 = tf.compat.v1
SLOW_STEPS = 12
COSTLY_STEPS = 36


def make_version(base: Path, version: int) -> Path:
    """x float [-1,1] -> y = version, float [-1,1]; version int64 [-1]. Tells which version answered."""

    def serve(x: Any) -> Any:
        return {
            "y": x * 0 + float(version),
            "version": tf.fill([tf.shape(x)[0]], tf.constant(version, tf.int64)),
        }

    return save_model(base, version, serving_default=(serve, {"x": ([None, 1], "float32")}))


def make_half_plus_two(base: Path, version: int) -> Path:
    """x float [-1] -> y = x / 2 + 2. With variables."""
    half, two = tf.Variable(0.5), tf.Variable(2.0)
    function = (lambda x: {"y": x * half + two}, {"x": ([None], "float32")})
    return save_model(base, version, keep=[half, two], serving_default=function)


def make_three_floats(base: Path, version: int) -> Path:
    """x float [-1,3] -> y = x @ [1, 2, 3], float [-1,1]."""
    weights = tf.Variable([[1.0], [2.0], [3.0]])
    function = (lambda x: {"y": x @ weights}, {"x": ([None, 3], "float32")})
    return save_model(base, version, keep=[weights], serving_default=function)


def make_dense784(base: Path, version: int) -> Path:
    """x float [-1,784] -> scores float [-1,10]: relu(x @ a) @ b, softmax; weights from a fixed seed."""
    random = np.random.default_rng(7)
    a = tf.Variable(random.normal(0, 0.05, (784, 128)).astype("float32"))
    b = tf.Variable(random.normal(0, 0.05, (128, 10)).astype("float32"))
    function = (lambda x: {"scores": tf.nn.softmax(tf.nn.relu(x @ a) @ b)}, {"x": ([None, 784], "float32")})
    return save_model(base, version, keep=[a, b], serving_default=function)


def make_echo(base: Path, version: int) -> Path:
    """One input [-1] per dtype, its alias TensorFlow's name of the dtype, and the same as output."""

    def serve(**inputs: Any) -> Any:
        return {alias: tf.identity(tensor) for alias, tensor in inputs.items()}

    specs = {alias: ([None], tf.as_dtype(alias)) for alias in DTYPES}
    return save_model(base, version, serving_default=(serve, specs))


def make_strings(base: Path, version: int) -> Path:
    """text, suffix string [-1] -> joined, upper_bytes string [-1]."""

    def serve(text: Any, suffix: Any) -> Any:
        return {"joined": tf.strings.join([text, suffix]), "upper_bytes": tf.strings.upper(text)}

    return save_model(
        base, version, serving_default=(serve, {"text": ([None], "string"), "suffix": ([None], "string")})
    )


def make_multi_io(base: Path, version: int) -> Path:
    """a, b float [-1,2] -> sum float [-1,2]; bigger bool [-1,2]; total int32 [-1]."""

    def serve(a: Any, b: Any) -> Any:
        return {"sum": a + b, "bigger": a > b, "total": tf.cast(tf.reduce_sum(a + b, axis=1), tf.int32)}

    return save_model(
        base, version, serving_default=(serve, {"a": ([None, 2], "float32"), "b": ([None, 2], "float32")})
    )


def make_scalar(base: Path, version: int) -> Path:
    """x float [] -> y = 2 x, float []; name string []."""
    function = (lambda x: {"y": x * 2, "name": tf.constant(b"two\0")}, {"x": ([], "float32")})
    return save_model(base, version, serving_default=function)


def make_unbatched(base: Path, version: int) -> Path:
    """x float [3] -> y = x + 1, float [3]: no batch dimension."""
    return save_model(base, version, serving_default=(lambda x: {"y": x + 1}, {"x": ([3], "float32")}))


def make_two_signatures(base: Path, version: int) -> Path:
    """x float [-1] -> y: `serving_default` doubles, `triple` triples."""
    spec = {"x": ([None], "float32")}
    double, triple = (lambda x: {"y": x * 2}, spec), (lambda x: {"y": x * 3}, spec)
    return save_model(base, version, serving_default=double, triple=triple)


def make_vocabulary(base: Path, version: int) -> Path:
    """word string [-1] -> index int64 [-1], by a vocabulary in an asset file; 3 for unknown words."""
    source = base / f"vocabulary-{version}.txt"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text("red\ngreen\nblue\n")
    initializer = tf.lookup.TextFileInitializer(
        str(source),
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    table = tf.lookup.StaticVocabularyTable(initializer, num_oov_buckets=1)
    function = (lambda word: {"index": table.lookup(word)}, {"word": ([None], "string")})
    path = save_model(base, version, keep=[table], serving_default=function)
    # The model has its own copy; anything but a number in the base folder is noise.
    source.unlink()
    return path


def make_keras(base: Path, version: int) -> Path:
    """What Keras 3's `model.export` writes: a 4-3-2 net, inputs float [-1,4]."""
    import keras

    keras.utils.set_random_seed(7)
    layers = [keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    path = base / str(version)
    model.export(path, verbose=False)
    return path


def make_keras_picture(base: Path, version: int) -> Path:
    """A Keras Conv2D: image float [-1,8,8,1] -> [-1,2]. TensorFlow aborts when an image has no channel."""
    import keras

    layers = [keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((8, 8, 1), name="image"), *layers])
    path = base / str(version)
    model.export(path, verbose=False)
    return path


def make_keras_ones(base: Path, version: int) -> Path:
    """A sequential Keras model of one weight that is one: float [-1,1] -> the same."""
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    path = base / str(version)
    model.export(path, verbose=False)
    return path


def make_tf1(base: Path, version: int) -> Path:
    """TensorFlow 1's builder: x float, any shape -> y = x / 2 + 2; `tensor_names` differ from the aliases."""

    def build() -> tuple[dict[str, Any], Any]:
        x = v1.placeholder(tf.float32, None, name="features")
        y = x * v1.get_variable("half", initializer=0.5) + v1.get_variable("two", initializer=2.0)
        return {"serving_default": ({"x": x}, {"y": y})}, None

    return build_model(base, version, build)


def make_counter(base: Path, version: int) -> Path:
    """Signatures without inputs: get_, incr_, reset_counter -> output; incr_counter_by with `delta`."""

    def build() -> tuple[dict[str, Any], Any]:
        counter = v1.get_variable("counter", initializer=0.0, use_resource=True)
        delta = v1.placeholder(tf.float32, [], name="delta")
        return {
            "get_counter": ({}, {"output": counter.read_value()}),
            "incr_counter": ({}, {"output": counter.assign_add(1.0, read_value=True).read_value()}),
            "incr_counter_by": ({"delta": delta}, {"output": counter.assign_add(delta).read_value()}),
            "reset_counter": ({}, {"output": counter.assign(0.0).read_value()}),
        }, None

    return build_model(base, version, build)


def make_passthrough(base: Path, version: int) -> Path:
    """Aliases that share a tensor: a and b float [-1] are one input; same is that input, y and z are 2 a."""

    def build() -> tuple[dict[str, Any], Any]:
        x = v1.placeholder(tf.float32, [None], name="x")
        y = x * 2
        return {"serving_default": ({"a": x, "b": x}, {"same": x, "y": y, "z": y})}, None

    return build_model(base, version, build)


def make_no_signatures(base: Path, version: int) -> Path:
    """An object saved without signatures, and without functions to derive some from."""
    module = tf.Module()
    module.kept = tf.Variable(1.0)
    path = base / str(version)
    tf.saved_model.save(module, str(path))
    return path


def make_module(base: Path, version: int) -> Path:
    """What TF Hub has: no signatures. `__call__`, for training and not, scales by three; see the functions."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = tf.Variable(3.0)
            words = tf.lookup.KeyValueTensorInitializer(["red", "green"], tf.constant([0, 1], tf.int64))
            self.words = tf.lookup.StaticHashTable(words, -1)

        @tf.function
        def __call__(self, x: Any, training: bool = False) -> Any:
            return x * self.scale + (100.0 if training else 0.0)

        @tf.function
        def index(self, word: Any) -> Any:
            """-> output_0, output_1: its number and itself."""
            return self.words.lookup(word), word

        @tf.function
        def features(self, features: Any) -> Any:
            """One mapping in and out: a, b -> sum."""
            return {"sum": features["a"] + features["b"]}

        @tf.function
        def weighted(self, pair: Any, weight: Any) -> Any:
            """pair_0, pair_1, weight -> output_0."""
            return pair[0] + weight * pair[1]

        @tf.function
        def ragged(self, rows: Any) -> Any:
            """No function of plain tensors."""
            return rows.flat_values

    module = Module()
    floats = tf.TensorSpec([None], tf.float32)
    for training in (True, False):
        for shape in ([2], [None, 2], [None, None]):
            module.__call__.get_concrete_function(tf.TensorSpec(shape, tf.float32), training=training)
    for size in (2, None):
        module.index.get_concrete_function(tf.TensorSpec([size], tf.string))
    module.features.get_concrete_function({"a": floats, "b": floats})
    module.weighted.get_concrete_function((floats, floats), tf.TensorSpec([], tf.float32))
    module.ragged.get_concrete_function(tf.RaggedTensorSpec([None, None], tf.float32))
    path = base / str(version)
    tf.saved_model.save(module, str(path))
    return path


def make_unspecified_shape(base: Path, version: int) -> Path:
    """x float, any shape -> y = 6 x; `custom_signature_key` -> y = 2 whatever x is."""
    root = tf.train.Checkpoint()
    root.three, root.two = tf.Variable(3.0), tf.Variable(2.0)
    root.f = tf.function(lambda x: {"y": root.three * root.two * x})
    root.g = tf.function(lambda x: {"y": root.two + 0 * x})
    spec = tf.TensorSpec(None, tf.float32, name="x")
    path = base / str(version)
    signatures = {
        "serving_default": root.f.get_concrete_function(spec),
        "custom_signature_key": root.g.get_concrete_function(spec),
    }
    tf.saved_model.save(root, str(path), signatures)
    return path


def make_cumsum(base: Path, version: int) -> Path:
    """x float [-1] -> y = cumulative sum: looks batchable, but its rows are not independent."""
    return save_model(
        base, version, serving_default=(lambda x: {"y": tf.cumsum(x)}, {"x": ([None], "float32")})
    )


def make_wide_answer(base: Path, version: int) -> Path:
    """count int32 [] -> y float [count], ones: an answer of any size."""
    function = (lambda count: {"y": tf.ones([count])}, {"count": ([], "int32")})
    return save_model(base, version, serving_default=function)


def make_slow(base: Path, version: int) -> Path:
    """x float [-1] -> y = x after some 10 ms of computing."""
    matrix = tf.Variable(np.eye(400, dtype="float32"))

    def serve(x: Any) -> Any:
        product = tf.eye(400)
        for _ in tf.range(SLOW_STEPS):
            product = product @ matrix
        return {"y": x * product[0, 0]}

    return save_model(base, version, keep=[matrix], serving_default=(serve, {"x": ([None], "float32")}))


def make_costly_rows(base: Path, version: int) -> Path:
    """x float [-1] -> y = x, with some 15 ms of computing for each row: batches gain nothing."""
    matrix = tf.Variable(np.eye(400, dtype="float32"))

    def serve(x: Any) -> Any:
        product = tf.eye(400)
        for _ in tf.range(COSTLY_STEPS * tf.shape(x)[0]):
            product = product @ matrix
        return {"y": x * product[0, 0]}

    return save_model(base, version, keep=[matrix], serving_default=(serve, {"x": ([None], "float32")}))


def make_nan(base: Path, version: int) -> Path:
    """x float [-1] -> y = x / 0: NaN for 0, else infinite."""
    return save_model(base, version, serving_default=(lambda x: {"y": x / 0.0}, {"x": ([None], "float32")}))


MAKERS: dict[str, Callable[[Path, int], Path]] = {
    name.removeprefix("make_"): maker
    for module in (sys.modules[__name__], lite_models, broken_models)
    for name, maker in vars(module).items()
    if name.startswith("make_")
}


def main(arguments: list[str]) -> None:
    """Makes what the command line asks for."""
    tf.get_logger().setLevel("ERROR")
    base = Path(arguments[0])
    for wanted in arguments[1:] or ["*=1"]:
        name, _, version = wanted.partition("=")
        for maker in MAKERS if name == "*" else [name]:
            MAKERS[maker](base / maker, int(version))


if __name__ == "__main__":
    main(sys.argv[1:])
