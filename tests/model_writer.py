"""How the tests' models are saved: functions in TensorFlow 2's way, graphs in TensorFlow 1's.

Imports TensorFlow: for the processes that make models only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

v1 = tf.compat.v1


def save_model(base: Path, version: int, keep: Any = (), **functions: tuple[Any, Mapping[str, Any]]) -> Path:
    """Saves TensorFlow 2's way; `functions` are signatures: a function and its inputs' shapes and dtypes."""
    module = tf.Module()
    module.kept = list(keep)
    signatures = {}
    for key, (function, inputs) in functions.items():
        specs = {alias: tf.TensorSpec(shape, dtype, name=alias) for alias, (shape, dtype) in inputs.items()}
        signatures[key] = tf.function(function).get_concrete_function(**specs)
    path = base / str(version)
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


def build_model(base: Path, version: int, build: Callable[[], tuple[dict[str, Any], Any]]) -> Path:
    """Saves TensorFlow 1's way; `build` makes the graph and gives signatures and an initialiser."""
    path = base / str(version)
    with tf.Graph().as_default(), v1.Session() as session:
        signatures, main_op = build()
        session.run(v1.global_variables_initializer())
        definitions = {
            key: v1.saved_model.signature_def_utils.build_signature_def(
                {alias: v1.saved_model.utils.build_tensor_info(tensor) for alias, tensor in inputs.items()},
                {alias: v1.saved_model.utils.build_tensor_info(tensor) for alias, tensor in outputs.items()},
                v1.saved_model.signature_constants.PREDICT_METHOD_NAME,
            )
            for key, (inputs, outputs) in signatures.items()
        }
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session, ["serve"], definitions, main_op=main_op, clear_devices=True
        )
        builder.save()
    return path
