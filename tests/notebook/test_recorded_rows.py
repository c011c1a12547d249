"""What was recorded beside a version is what is measured with, wherever this kernel can read it."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec.prediction_log import WARMUP_FILE
from jupyter_tfserve.codec.protos import PredictionLog
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.codec.tfrecord import encode_record
from jupyter_tfserve.notebook.recorded_rows import recorded_document


def predict_log(signature_name: str, **inputs: np.ndarray) -> bytes:
    log = PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature_name
    for alias, value in inputs.items():
        encode_tensor(value, log.predict_log.request.inputs[alias])
    return log.SerializeToString()


@pytest.fixture
def record(tmp_path):
    """`record(*logs)` puts them beside version 3; returns the base path."""

    def write(*logs: bytes, folder: str = "00003") -> str:
        path = tmp_path / folder / WARMUP_FILE
        path.parent.mkdir(parents=True)
        path.write_bytes(b"".join(map(encode_record, logs)))
        return str(tmp_path)

    return write


def test_first_request_of_the_signature_is_found(record):
    other = PredictionLog()
    other.classify_log.request.model_spec.name = "m"
    rows = np.array([[1.5, 2.0]], np.float32)
    base = record(
        other.SerializeToString(),
        predict_log("another", x=np.zeros((1, 2), np.float32)),
        predict_log("", x=rows),
        predict_log("serving_default", x=rows + 1),
    )
    document = recorded_document(base, 3, "serving_default")
    assert document is not None
    assert document["inputs"]["x"].tolist() == rows.tolist()
    assert recorded_document(base, 4, "serving_default") is None
    assert recorded_document(base, 3, "missing") is None


def test_strings_are_written_as_bytes(record):
    base = record(predict_log("", x=np.array([[b"a\xff"], [b""]], object)))
    assert recorded_document(base, 3, "serving_default") == {
        "inputs": {"x": [[{"b64": "Yf8="}], [{"b64": ""}]]}
    }


@pytest.mark.parametrize("content", [b"", b"no records at all, but long enough for one"])
def test_nothing_is_found_in_a_file_that_is_none(tmp_path, content):
    path = tmp_path / "3" / WARMUP_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert recorded_document(str(tmp_path), 3, "serving_default") is None


def test_nothing_is_found_when_the_folder_is_not_this_machines(tmp_path):
    assert recorded_document(str(tmp_path / "elsewhere"), 3, "serving_default") is None
