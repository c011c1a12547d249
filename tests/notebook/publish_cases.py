"""Saves models through a real engine, in a process that has TensorFlow; prints what the cards say as JSON.

Run as a program in a folder of its own: `python publish_cases.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook import publication
from jupyter_tfserve.notebook.api import connect
from jupyter_tfserve.notebook.discovery import Discovery

FREE_PORT = -1


class TwoInputs(tf.Module):
    @tf.function
    def __call__(self, a, b):
        return {"sum": a + b, "text": tf.strings.as_string(a)}


@tf.function
def noisy(x):
    return x + tf.random.uniform([])


class Otherwise(keras.Model):
    """Answers otherwise when it is called eagerly, as the notebook calls it."""

    def call(self, x):
        return x + 1.0 if tf.executing_eagerly() else x


class Unservable(tf.Module):
    """Asks for a library of Python that the server's process has not registered."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def __call__(self, x):
        return tf.numpy_function(lambda value: value + 1, [x], tf.float32)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="s")])
def upper(s):
    return tf.strings.upper(s)


@tf.function
def refuses(x):
    tf.debugging.assert_less(x, 0.0, message="too much")
    return x


@tf.function
def by_name(columns):
    return {"y": columns["p"] * columns["q"]}


def dense():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model(np.ones((1, 3), np.float32))
    return model


def functional():
    a, b = keras.Input((1,), name="a"), keras.Input((2,), name="b")
    return keras.Model([a, b], [keras.layers.Dense(1)(b), keras.layers.Add()([a, a])])


ROWS = np.arange(12, dtype=np.float64).reshape(4, 3)
PAIR = (np.ones(3, np.float32), np.arange(3, dtype=np.float32))
CASES = {
    "dense": (dense(), ROWS),
    "two_inputs": (TwoInputs(), PAIR),
    "noisy": (noisy, np.ones((2,), np.float32)),
    "upper": (upper, ["a", "b"]),
    "by_name": (by_name, {"p": np.ones(2, np.float32), "q": np.ones(2, np.float32)}),
    "functional": (functional(), [np.ones((2, 1), np.float32), np.ones((2, 2), np.float32)]),
    "refuses": (refuses, np.ones((2,), np.float32)),
    "without_rows": (dense(), None),
    "unservable": (Unservable(), np.ones((2,), np.float32)),
    "otherwise": (Otherwise(), np.ones((2, 3), np.float32)),
    "misfit": (dense(), np.ones((2, 9), np.float32)),
}


def card(saved):
    names = ("version", "state", "labels", "takes", "gives", "notes", "warmup")
    fields = {name: getattr(saved, name) for name in names}
    check = {name: getattr(saved.check, name) for name in saved.check.__slots__}
    return {**fields, "check": check, "text": str(saved), "html": saved._repr_mimebundle_()["text/html"]}


def attempt(save):
    try:
        return card(save())
    except ServingError as error:
        return {"error": error.message, "hint": error.hint}
    except KeyboardInterrupt:
        return {"interrupted": True}


def interrupted(server, name):
    """What is left of a save that the person breaks off while the version loads."""

    def break_off(*arguments):
        raise KeyboardInterrupt

    real, publication.await_version = publication.await_version, break_off
    try:
        outcome = attempt(lambda: server.save(dense(), name))
    finally:
        publication.await_version = real
    base = Path("models") / name
    return {**outcome, "left": sorted(path.name for path in base.iterdir()), "served": served(server)}


def direct(server):
    """Answers of the model in this process while its served version is under load, for several kinds."""
    found = {}
    for name in ("dense", "two_inputs", "functional"):
        obj = CASES[name][0]
        bench = server.bench(f"{name}@test", seconds=1, model=obj)
        found[name] = {"answers": bench.direct.answers, "median_ms": bench.direct.percentile(50)}
    return found


def served(server):
    return {model.name: [item.version for item in model.versions] for model in server.state().models}


def main():
    server = connect(
        "models", rest_port=FREE_PORT, grpc_port=FREE_PORT, discovery=Discovery(ask_jupyter=False)
    )
    try:
        results = {
            name: attempt(lambda name=name, case=case: server.save(case[0], name, like=case[1], label="test"))
            for name, case in CASES.items()
        }
        results["otherwise_left"] = sorted(path.name for path in Path("models/otherwise").iterdir())
        results["unservable_left"] = sorted(path.name for path in Path("models/unservable").iterdir())
        results["misfit_left"] = sorted(path.name for path in Path("models/misfit").iterdir())
        results["served"] = served(server)
        results["direct"] = direct(server)
        results["interrupted_new"] = interrupted(server, "fresh")
        results["interrupted_old"] = interrupted(server, "dense")
        server.label("production", 1, "dense")
        results["unwarmed"] = attempt(lambda: server.save(dense(), "unwarmed", like=ROWS, warm_up=False))
        results["warmups"] = [
            (event.model, event.version, event.detail)
            for event in server.history(1000).events
            if event.kind == "warmup"
        ]
        results["second"] = attempt(lambda: server.save(dense(), "dense", label="test", like=ROWS))
    finally:
        server.stop()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
