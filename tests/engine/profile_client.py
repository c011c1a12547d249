"""TensorFlow's own profiler client: `python profile_client.py ADDRESS LOGDIR DURATION_MS`, as TensorBoard runs it."""

from __future__ import annotations

import sys

import tensorflow as tf

tf.profiler.experimental.client.trace(f"grpc://{sys.argv[1]}", sys.argv[2], int(sys.argv[3]))
