"""Which GPUs TensorFlow sees, asked in a process that ends right after: the fork server must never have looked.

Runs in the worker's process, called by `main`; imports TensorFlow.
"""

from __future__ import annotations

import json

import tensorflow as tf


def probe_gpus() -> bytes:
    """A JSON list of the GPUs' models, in TensorFlow's order. Takes no memory on them."""
    gpus = tf.config.list_physical_devices("GPU")
    details = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
    return json.dumps([detail.get("device_name", "GPU") for detail in details]).encode()
