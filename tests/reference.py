"""What TensorFlow answers when it is asked directly: `python reference.py ASKED.pickle ANSWERED.pickle`.

ASKED holds [(SavedModel's folder, signature key, inputs by alias)], ANSWERED the outputs by alias.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


def answer(folder: str, key: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs as numpy arrays; strings as object arrays of bytes."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], folder)
        signature = graph.signature_def[key]
        feed = {signature.inputs[alias].name: value for alias, value in inputs.items()}
        fetch = {alias: spec.name for alias, spec in signature.outputs.items()}
        return {alias: as_array(value) for alias, value in session.run(fetch, feed).items()}


def as_array(value: Any) -> Any:
    """numpy would make a fixed-width string of `bytes`, and lose its trailing zeros."""
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)


if __name__ == "__main__":
    asked = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_bytes(pickle.dumps([answer(*call) for call in asked]))
