"""Calls SavedModels the plain TensorFlow way, as the oracle: `python run_in_tensorflow.py CASES ANSWERS`.

CASES is a pickle of [(path, signature, inputs)], ANSWERS becomes a pickle of the outputs by alias.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf


def call(path, signature, inputs):
    function = tf.saved_model.load(str(path)).signatures[signature]
    outputs = function(**{alias: tf.constant(value) for alias, value in inputs.items()})
    return {alias: tensor.numpy() for alias, tensor in outputs.items()}


cases = pickle.loads(Path(sys.argv[1]).read_bytes())
Path(sys.argv[2]).write_bytes(pickle.dumps([call(*case) for case in cases]))
