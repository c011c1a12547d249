"""codec.protos: the real messages, and no trace that would spoil a real TensorFlow in the same process."""

from __future__ import annotations

import subprocess
import sys

import pytest

OURS_ONLY = """
import sys
from jupyter_tfserve.codec import protos
assert "tensorflow" not in sys.modules
assert not any(name.startswith("tensorflow.python") for name in sys.modules)
request = protos.PredictRequest()
request.model_spec.name = "m"
request.inputs["x"].float_val.append(1.0)
assert protos.PredictRequest.FromString(request.SerializeToString()) == request
"""

USE_TENSORFLOW = """
proto = tf.make_tensor_proto([[1.0, 2.0]])
assert type(proto) is protos.TensorProto, type(proto)
request = protos.PredictRequest()
request.inputs["x"].CopyFrom(proto)
assert tf.make_ndarray(request.inputs["x"]).tolist() == [[1.0, 2.0]]
assert tf.function(lambda x: x + 1)(tf.constant(1.0)).numpy() == 2.0
assert tf.__version__ and tf.saved_model.load and tf.keras.layers.Dense
assert not hasattr(tf, "core")
import tensorflow.core.framework.types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
assert meta_graph_pb2.SignatureDef is protos.SignatureDef
"""


def run_python(source: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.returncode == 0, finished.stderr[-2000:]


def test_protos_leave_no_tensorflow_behind_when_imported_alone():
    """The bare package is gone after the import, and TensorFlow itself was never run."""
    run_python(OURS_ONLY)


@pytest.mark.parametrize(
    "imports",
    [
        "from jupyter_tfserve.codec import protos\nimport tensorflow as tf",
        "import tensorflow as tf\nkept = tf\nfrom jupyter_tfserve.codec import protos\n"
        "import tensorflow as tf\nassert kept is tf",
    ],
    ids=["protos_first", "tensorflow_first"],
)
def test_protos_are_tensorflows_messages_when_both_are_imported(imports):
    """Either order: one set of messages, and a TensorFlow that works."""
    run_python(imports + USE_TENSORFLOW)


def test_protos_say_what_is_missing_when_tensorflow_is_not_installed():
    """An ImportError that names the package, and no bare package left behind."""
    run_python(
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: found(name) if name != 'tensorflow' else None\n"
        "try:\n"
        "    from jupyter_tfserve.codec import protos\n"
        "except ModuleNotFoundError as error:\n"
        "    assert error.name == 'tensorflow'\n"
        "else:\n"
        "    raise SystemExit('imported')\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
