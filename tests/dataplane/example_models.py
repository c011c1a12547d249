"""Two SavedModels that parse `tf.Example`s, as TensorFlow Serving's own test models do: half plus two and three.

    python tests/dataplane/example_models.py BASE          BASE/half_plus_two/123 and BASE/half_plus_three/123

A program of its own, since a test process should not import TensorFlow.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

v1 = tf.compat.v1
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))


def half_plus_two() -> dict[str, Any]:
    """y = x / 2 + 2, y2 = x / 2 + 3, y3 = x2 / 2 + 3; features x (needed) and x2 (0 by default)."""
    text = v1.placeholder(tf.string, [None], name="tf_example")
    features = v1.io.parse_example(
        text,
        {
            "x": v1.io.FixedLenFeature([1], tf.float32),
            "x2": v1.io.FixedLenFeature([1], tf.float32, default_value=[0.0]),
        },
    )
    half, two, three = v1.get_variable("a", initializer=0.5), tf.constant(2.0), tf.constant(3.0)
    x = tf.identity(features["x"], name="x")
    y, y2, y3 = half * x + two, half * x + three, half * features["x2"] + three
    names = tf.strings.join(["is ", tf.strings.as_string(tf.cast(y, tf.int32))])
    return {
        "serving_default": signature(PREDICT, {"x": x}, {"y": y}),
        "classify_x_to_y": signature(CLASSIFY, {"inputs": text}, {"scores": y}),
        "classify_names": signature(CLASSIFY, {"inputs": text}, {"classes": names, "scores": y}),
        "regress_x_to_y": signature(REGRESS, {"inputs": text}, {"outputs": y}),
        "regress_x_to_y2": signature(REGRESS, {"inputs": text}, {"outputs": y2}),
        "regress_x2_to_y3": signature(REGRESS, {"inputs": features["x2"]}, {"outputs": y3}),
    }


def half_plus_three() -> dict[str, Any]:
    """y = x / 2 + 3; the regress signature says float of an input that is a string, as upstream's does."""
    text = v1.placeholder(tf.string, [None], name="tf_example")
    features = v1.io.parse_example(text, {"x": v1.io.FixedLenFeature([1], tf.float32)})
    x = tf.identity(features["x"], name="x")
    y = v1.get_variable("a", initializer=0.5) * x + tf.constant(3.0)
    regress = signature(REGRESS, {"inputs": text}, {"outputs": y})
    regress.inputs["inputs"].dtype = tf.float32.as_datatype_enum
    return {"serving_default": signature(PREDICT, {"x": x}, {"y": y}), REGRESS: regress}


def signature(method: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    """A SignatureDef from tensors by alias."""
    build_info = v1.saved_model.utils.build_tensor_info
    return v1.saved_model.signature_def_utils.build_signature_def(
        {alias: build_info(tensor) for alias, tensor in inputs.items()},
        {alias: build_info(tensor) for alias, tensor in outputs.items()},
        method,
    )


def main(base: Path) -> None:
    """Writes both models."""
    tf.get_logger().setLevel("ERROR")
    for make in (half_plus_two, half_plus_three):
        with tf.Graph().as_default(), v1.Session() as session:
            signatures = make()
            session.run(v1.global_variables_initializer())
            builder = v1.saved_model.Builder(str(base / make.__name__ / "123"))
            builder.add_meta_graph_and_variables(session, ["serve"], signatures)
            builder.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
