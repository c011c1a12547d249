"""TensorFlow Serving's own test models, built anew from their signatures, and models that go against its rules.

    python -m tests.contract.models BASE          BASE/NAME/VERSION for every model, versions zero-padded as upstream

A program of its own, since a test process should not import TensorFlow. `y = x / 2 + 2`, `y2 = x / 2 + 3` and
`y3 = x2 / 2 + 3`, where `x` and `x2` (0 by default) are features of `tf.Example`s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tests.broken_models import make_fail_run, make_hang_run
from tests.contract.echo import JSON_DTYPES
from tests.saved_models import make_counter, make_echo, make_multi_io, make_strings

v1 = tf.compat.v1
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))
Signatures = Mapping[str, Any]


def signature(method: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
    """A SignatureDef from tensors by alias."""
    build_info = v1.saved_model.utils.build_tensor_info
    return v1.saved_model.signature_def_utils.build_signature_def(
        {alias: build_info(tensor) for alias, tensor in inputs.items()},
        {alias: build_info(tensor) for alias, tensor in outputs.items()},
        method,
    )


def half_plus_two(two_versions: bool = False) -> Signatures:
    """The six signatures of `saved_model_half_plus_two`; `classify_x2_to_y3` only in the one with two versions."""
    text, x, x2 = _features()
    half = v1.get_variable("a", initializer=0.5)
    y, y2, y3 = half * x + tf.constant(2.0), half * x + tf.constant(3.0), half * x2 + tf.constant(3.0)
    signatures = {
        "serving_default": signature(PREDICT, {"x": x}, {"y": y}),
        "classify_x_to_y": signature(CLASSIFY, {"inputs": text}, {"scores": y}),
        "regress_x_to_y": signature(REGRESS, {"inputs": text}, {"outputs": y}),
        "regress_x_to_y2": signature(REGRESS, {"inputs": text}, {"outputs": y2}),
        "regress_x2_to_y3": signature(REGRESS, {"inputs": x2}, {"outputs": y3}),
    }
    if two_versions:
        signatures["classify_x2_to_y3"] = signature(CLASSIFY, {"inputs": x2}, {"scores": y3})
    return signatures


def half_plus_three() -> Signatures:
    """y = x / 2 + 3. The regress signature declares float of what is a string, as upstream's does."""
    text, x, _ = _features()
    y = v1.get_variable("a", initializer=0.5) * x + tf.constant(3.0)
    regress = signature(REGRESS, {"inputs": text}, {"outputs": y})
    regress.inputs["inputs"].dtype = tf.float32.as_datatype_enum
    return {"serving_default": signature(PREDICT, {"x": x}, {"y": y}), REGRESS: regress}


def matrix_half_plus_two() -> Signatures:
    """x float [-1,3,3] -> y = x / 2 + 2: the model of upstream's batching tests."""
    x = v1.placeholder(tf.float32, [None, 3, 3], name="x")
    return {"serving_default": signature(PREDICT, {"x": x}, {"y": x * 0.5 + 2.0})}


def odd_signatures() -> Signatures:
    """Signatures that break one rule of Classify or Regress each; and one of a method that nobody knows."""
    text, x, _ = _features()
    count = tf.shape(text)[0]
    names, scores = tf.as_string(x), x * 1.0
    wide = tf.concat([x, x], 1)
    inputs = {"inputs": text}
    outputs_of = {
        "three_outputs": {"scores": scores, "classes": names, "more": x},
        "no_known_output": {"y": x},
        "flat_scores": {"scores": tf.reshape(scores, [-1])},
        "float_classes": {"classes": scores},
        "text_scores": {"scores": names},
        "scores_of_three": {"scores": tf.zeros([3, 1])},
        "classes_of_three": {"classes": tf.fill([3, 1], "a")},
        "two_scores_one_class": {"classes": names, "scores": wide},
        "two_classes": {"classes": tf.as_string(wide), "scores": wide},
        "only_classes": {"classes": names},
        "zero_scores": {"scores": tf.zeros([count, 2])},
    }
    regressions = {
        "wide_values": {"outputs": wide},
        "scalar_value": {"outputs": tf.reduce_sum(x)},
        "values_of_three": {"outputs": tf.zeros([3])},
        "text_values": {"outputs": tf.reshape(names, [-1])},
        "flat_values": {"outputs": tf.reshape(x, [-1])},
        "two_values": {"outputs": x, "more": x},
    }
    return {
        "two_inputs": signature(CLASSIFY, {"inputs": text, "x": x}, {"scores": scores}),
        "input_misnamed": signature(CLASSIFY, {"text": text}, {"scores": scores}),
        "method_unknown": signature("my/method", inputs, {"scores": scores}),
        "method_unknown_x": signature("my/method", {"x": x}, {"y": x * 0.5}),
        "regress_input_misnamed": signature(REGRESS, {"text": text}, {"outputs": x}),
        **{key: signature(CLASSIFY, inputs, outputs) for key, outputs in outputs_of.items()},
        **{key: signature(REGRESS, inputs, outputs) for key, outputs in regressions.items()},
    }


def odd_outputs() -> Signatures:
    """x float [-1] -> what a row-format answer cannot hold: a scalar, another batch size, none of JSON's dtypes."""
    x = v1.placeholder(tf.float32, [None], name="x")
    outputs_of = {
        "same": {"y": x * 1.0},
        "scalar": {"y": tf.reduce_sum(x)},
        "scalar_beside": {"a": x * 1.0, "b": tf.reduce_sum(x)},
        "other_batch": {"a": x * 1.0, "b": tf.concat([x, x], 0)},
        "complex": {"y": tf.cast(x, tf.complex64)},
        "non_finite": {"y": x / 0.0},
        "text_bytes": {"t_bytes": tf.as_string(x)},
        "two_rows": {"a": tf.cast(x, tf.int32), "b": tf.as_string(tf.cast(x, tf.int32))},
        "several": {"a": x * 1.0, "b": x * 2.0, "c": x * 3.0},
    }
    return {key: signature(PREDICT, {"x": x}, outputs) for key, outputs in outputs_of.items()}


def make_half_plus_two_tf2(base: Path, version: int) -> Path:
    """The TF2 export: every method is predict, and `serving_default` has a default for `x`."""

    @tf.function(autograph=False)
    def predict(x: Any) -> Any:
        return {"y": 0.5 * x + 2.0}

    def of_examples(feature: str, output: str, add: float) -> Any:
        @tf.function(autograph=False)
        def serve(inputs: Any) -> Any:
            return {output: 0.5 * _parse(inputs)[feature] + add}

        return serve.get_concrete_function(tf.TensorSpec([None], tf.string, name="inputs"))

    @tf.function(autograph=False)
    def of_tensor(inputs: Any) -> Any:
        return {"outputs": 0.5 * inputs + 3.0}

    signatures = {
        "serving_default": predict.get_concrete_function(tf.TensorSpec([1], tf.float32, name="x")),
        "classify_x_to_y": of_examples("x", "scores", 2.0),
        "regress_x_to_y": of_examples("x", "outputs", 2.0),
        "regress_x_to_y2": of_examples("x", "outputs", 3.0),
        "regress_x2_to_y3": of_tensor.get_concrete_function(
            tf.TensorSpec([None, 1], tf.float32, name="inputs")
        ),
    }
    path = base / version_name(version)
    tf.saved_model.save(tf.Module(), str(path), signatures=signatures)
    _add_default(path, "serving_default", "x", [2.0])
    return path


def make_json_echo(base: Path, version: int) -> Path:
    """The echo model with the dtypes that JSON has, so that REST can read its answers."""

    def serve(**inputs: Any) -> Any:
        return {alias: tf.identity(tensor) for alias, tensor in inputs.items()}

    specs = {alias: tf.TensorSpec([None], tf.as_dtype(alias), name=alias) for alias in JSON_DTYPES}
    path = base / version_name(version)
    function = tf.function(serve, autograph=False).get_concrete_function(**specs)
    tf.saved_model.save(tf.Module(), str(path), signatures={"serving_default": function})
    return path


def make_bad_half_plus_two(base: Path, version: int) -> Path:
    """What TensorFlow exported before SavedModels: no server loads it any more."""
    path = base / version_name(version)
    path.mkdir(parents=True)
    (path / "export.meta").write_bytes(b"\x0a\x00")
    (path / "export-00000-of-00001").write_bytes(b"")
    return path


def version_name(version: int) -> str:
    """A version folder's name as upstream's test data has it."""
    return f"{version:08d}"


def _parse(text: Any) -> Any:
    return v1.io.parse_example(
        text,
        {
            "x": v1.io.FixedLenFeature([1], tf.float32),
            "x2": v1.io.FixedLenFeature([1], tf.float32, default_value=[0.0]),
        },
    )


def _features() -> tuple[Any, Any, Any]:
    """The serialized Examples, and their features x and x2 under names that a caller can feed."""
    text = v1.placeholder(tf.string, [None], name="tf_example")
    features = _parse(text)
    return text, tf.identity(features["x"], name="x"), tf.identity(features["x2"], name="x2")


def _add_default(path: Path, key: str, alias: str, value: list[float]) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = path / "saved_model.pb"
    model = SavedModel.FromString(file.read_bytes())
    signature_def = model.meta_graphs[0].signature_def[key]
    signature_def.defaults[alias].CopyFrom(tf.make_tensor_proto(value, tf.float32))
    file.write_bytes(model.SerializeToString())


def _builder(build: Callable[[], Signatures]) -> Callable[[Path, int], Path]:
    """A maker that saves what `build` makes, TensorFlow 1's way."""

    def make(base: Path, version: int) -> Path:
        path = base / version_name(version)
        with tf.Graph().as_default(), v1.Session() as session:
            signatures = build()
            session.run(v1.global_variables_initializer())
            builder = v1.saved_model.Builder(str(path))
            builder.add_meta_graph_and_variables(session, ["serve"], signatures)
            builder.save()
        return path

    return make


MODELS: Mapping[str, tuple[Callable[[Path, int], Path], tuple[int, ...]]] = {
    "half_plus_two": (_builder(half_plus_two), (123,)),
    "half_plus_two_2_versions": (_builder(lambda: half_plus_two(True)), (123, 124)),
    "half_plus_two_tf2": (make_half_plus_two_tf2, (123,)),
    "half_plus_three": (_builder(half_plus_three), (123,)),
    "matrix_half_plus_two": (_builder(matrix_half_plus_two), (1,)),
    "odd_signatures": (_builder(odd_signatures), (1,)),
    "odd_outputs": (_builder(odd_outputs), (1,)),
    "bad_half_plus_two": (make_bad_half_plus_two, (123,)),
    "counter": (make_counter, (123,)),
    "echo": (make_echo, (1,)),
    "json_echo": (make_json_echo, (1,)),
    "fail_run": (make_fail_run, (1,)),
    "hang_run": (make_hang_run, (1,)),
    "multi_io": (make_multi_io, (1,)),
    "strings": (make_strings, (1,)),
}


def main(base: Path) -> None:
    """Makes them all."""
    tf.get_logger().setLevel("ERROR")
    for name, (make, versions) in MODELS.items():
        for version in versions:
            make(base / name, version)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
