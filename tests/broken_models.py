"""The models among `saved_models` that end, hang or fail: on purpose, while they load or when they run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tests.model_writer import build_model, save_model

v1 = tf.compat.v1


def make_spin_load(base: Path, version: int) -> Path:
    """Its load computes for ever."""
    return build_model(base, version, lambda: _plain_with_initialiser(_spin))


def make_abort_load(base: Path, version: int) -> Path:
    """Aborts its process while it is loaded."""
    return build_model(base, version, lambda: _plain_with_initialiser(_abort))


def make_hang_load(base: Path, version: int) -> Path:
    """Its load never returns."""
    return build_model(base, version, lambda: _plain_with_initialiser(_hang))


def make_abort_run(base: Path, version: int) -> Path:
    """x float [-1] -> y = x, but a negative x aborts the process."""
    return build_model(base, version, lambda: _poisoned_by_negative(_abort))


def make_hang_run(base: Path, version: int) -> Path:
    """x float [-1] -> y = x, but with a negative x it never returns."""
    return build_model(base, version, lambda: _poisoned_by_negative(_hang))


def make_spin(base: Path, version: int) -> Path:
    """x float [-1] -> y = x, but with a negative x it computes for ever."""
    return build_model(base, version, lambda: _poisoned_by_negative(_spin))


def make_fail_run(base: Path, version: int) -> Path:
    """x float [-1] -> y = x, but a negative x is an INVALID_ARGUMENT error of the model."""

    def serve(x: Any) -> Any:
        tf.debugging.assert_non_negative(x, "x must not be negative")
        return {"y": tf.identity(x)}

    return save_model(base, version, serving_default=(serve, {"x": ([None], "float32")}))


def _abort() -> Any:
    return tf.raw_ops.Abort(error_msg="on purpose", exit_without_error=False)


def _hang() -> Any:
    queue = v1.FIFOQueue(1, [tf.float32], shapes=[()])
    return queue.dequeue().op


def _spin() -> Any:
    (last,) = tf.while_loop(lambda i: i >= 0, lambda i: ((i + 1) % 1000,), (tf.constant(0),))
    return last.op


def _plain_with_initialiser(initialiser: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    x = v1.placeholder(tf.float32, [None], name="x")
    return {"serving_default": ({"x": x}, {"y": x * 1})}, initialiser()


def _poisoned_by_negative(poison: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    x = v1.placeholder(tf.float32, [None], name="x")

    def poisoned() -> Any:
        with tf.control_dependencies([poison()]):
            return tf.identity(x)

    y = tf.cond(tf.reduce_any(x < 0), poisoned, lambda: tf.identity(x))
    return {"serving_default": ({"x": x}, {"y": y})}, None
