"""Saves one object of each kind, in a process that may import TensorFlow; prints what became of each as JSON.

Run as a program: `python save_cases.py FOLDER`. A saved case is `FOLDER/CASE/1`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.save import save_version


class Scale(tf.Module):
    """`__call__` is the default; a second function keeps its name."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": x * self.factor}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="s")])
    def upper(self, s):
        return {"t": tf.strings.upper(s)}


class OneMethod(tf.Module):
    @tf.function
    def double(self, x):
        return 2 * x


class TwoMethods(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def a(self, x):
        return x

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def b(self, x):
        return x


weight = tf.Variable([[1.0], [10.0]])


@tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
def with_signature(x):
    return x @ weight


@tf.function
def without_signature(a, b):
    return {"sum": a + b}


def constant_sequential(value, built=True):
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    if built:
        model(np.full((1, 3), value, np.float32))
    return model


def functional():
    a, b = keras.Input((1,), name="a"), keras.Input((2,), name="b")
    return keras.Model([a, b], {"joined": keras.layers.Concatenate()([a, b])})


class Foreign:
    name = "foreign"


class Untracked(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, x):
        return HIDDEN_TABLE.lookup(x)


HIDDEN_TABLE = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1.0]), 0.0)

CASES = {
    "keras_plain": (constant_sequential(1.0), None),
    "keras_functional": (functional(), None),
    "keras_like": (constant_sequential(1.0, built=False), np.ones((5, 3), np.float32)),
    "keras_unbuilt": (constant_sequential(1.0, built=False), None),
    "module": (Scale(), None),
    "module_like": (OneMethod(), np.ones((4, 2), np.int32)),
    "module_ambiguous": (TwoMethods(), None),
    "module_empty": (tf.Module(), None),
    "module_untracked": (Untracked(), None),
    "function": (with_signature, None),
    "function_like": (without_signature, (np.ones(3, np.float32), np.float32(1))),
    "function_unknown": (without_signature, None),
    "lambda": (lambda x: x, None),
    "number": (3, None),
    "foreign": (Foreign(), None),
}


def main(base: Path) -> None:
    print(json.dumps({case: save_one(base / case, *arguments) for case, arguments in CASES.items()}))


def save_one(base_path, obj, like):
    try:
        return {"version": save_version(obj, base_path, like)}
    except ServingError as error:
        return {"error": error.message, "hint": error.hint, "code": error.code.name}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
