"""A worker's second face: TensorFlow's profiler, started and stopped over the side lane while lanes serve.

Runs in the worker's process, called by `main`. Imports TensorFlow when it is first asked.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Tensor, Tensors
from jupyter_tfserve.worker.failures import run_error
from jupyter_tfserve.worker.frame import Call
from jupyter_tfserve.worker.order import PROFILE, PROFILE_START, PROFILE_STOP


class Profiler:
    """One profile at a time of this process. Called by one thread."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def run(self, call: Call) -> dict[str, Tensor]:
        """The answer to PROFILE_START or PROFILE_STOP; ServingError."""
        try:
            if call.signature == PROFILE_START:
                return self._start(call.inputs)
            if call.signature == PROFILE_STOP:
                return self._stop()
        except Exception as error:  # the worker run: whatever the profiler raises, its lane lives on
            raise run_error(error) from error
        raise ServingError(Code.UNIMPLEMENTED, f"The worker does not know {call.signature}")

    def _start(self, inputs: Tensors) -> dict[str, Tensor]:
        import tensorflow as tf

        if self._folder is not None:
            raise ServingError(Code.ALREADY_EXISTS, "A profile of this model is being taken")
        options = tf.profiler.experimental.ProfilerOptions(
            **{name: int(value) for name, value in inputs.items()}
        )
        folder = tempfile.TemporaryDirectory(prefix="jupyter-tfserve-profile-")
        try:
            tf.profiler.experimental.start(folder.name, options)
        except BaseException:
            folder.cleanup()
            raise
        self._folder = folder
        return {}

    def _stop(self) -> dict[str, Tensor]:
        import tensorflow as tf

        folder, self._folder = self._folder, None
        if folder is None:
            return {}
        with folder:
            # TensorFlow gives the recording as a file only; a folder of our own keeps it from its callers.
            tf.profiler.experimental.stop()
            recorded = [file.read_bytes() for file in Path(folder.name).rglob("*.xplane.pb")]
        return {PROFILE: np.array(recorded[:1], object)} if recorded and _has_events(recorded[0]) else {}


def _has_events(xspace: bytes) -> bool:
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    planes = xplane_pb2.XSpace.FromString(xspace).planes
    return any(line.events for plane in planes for line in plane.lines)
