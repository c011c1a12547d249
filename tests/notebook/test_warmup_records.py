"""The warm-up file of a new version: which rows go in, and how many bytes at most."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec.prediction_log import WARMUP_FILE
from jupyter_tfserve.codec.protos import PredictionLog, SavedModel
from jupyter_tfserve.codec.tensor_proto import decode_tensor
from jupyter_tfserve.codec.tfrecord import read_records
from jupyter_tfserve.notebook import warmup_records
from jupyter_tfserve.notebook.verify import NotComparable
from jupyter_tfserve.notebook.warmup_records import MAX_BYTES, WarmUp
from jupyter_tfserve.options import LimitOptions

ROWS = np.arange(40, dtype=np.float32).reshape(20, 2)


@pytest.fixture(autouse=True)
def answering_model(monkeypatch):
    """The notebook's model answers; that it is asked at all is shown with TensorFlow elsewhere."""
    monkeypatch.setattr(warmup_records, "call_model", lambda obj, like, columns: None)


def version_with(folder, *shapes, key="serving_default"):
    """A version's folder whose model has float inputs `a`, `b` … of these shapes."""
    saved = SavedModel()
    signature = saved.meta_graphs.add().signature_def[key]
    for alias, shape in zip("abc", shapes, strict=False):
        signature.inputs[alias].dtype = 1
        signature.inputs[alias].tensor_shape.SetInParent()
        for size in shape:
            signature.inputs[alias].tensor_shape.dim.add(size=size)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    return folder


def written(version, like):
    """The shapes of `a` in each request of the file, and why there is none."""
    warm_up = WarmUp("m", object(), like)
    warm_up.write(version)
    if not (version / WARMUP_FILE).exists():
        return [], warm_up.missing
    with (version / WARMUP_FILE).open("rb") as stream:
        requests = [PredictionLog.FromString(record).predict_log.request for record in read_records(stream)]
    return [decode_tensor(request.inputs["a"], LimitOptions()).shape for request in requests], warm_up.missing


@pytest.mark.parametrize(
    ("rows", "shapes"), [(1, [(1, 2)]), (3, [(1, 2), (3, 2)]), (8, [(1, 2), (8, 2)]), (20, [(1, 2), (8, 2)])]
)
def test_requests_are_one_row_and_some_together_when_rows_are_free(tmp_path, rows, shapes):
    assert written(version_with(tmp_path, (-1, 2)), ROWS[:rows]) == (shapes, "")


def test_example_is_one_request_when_the_model_has_no_rows(tmp_path):
    assert written(version_with(tmp_path, (20, 2)), ROWS) == ([(20, 2)], "")
    assert written(version_with(tmp_path, ()), np.float32(1)) == ([()], "")
    like = {"a": ROWS[:3], "b": ROWS[:2]}
    assert written(version_with(tmp_path, (-1, 2), (-1, 2)), like) == ([(3, 2)], "")


def test_rows_together_are_left_out_when_they_are_too_large(tmp_path):
    row = np.zeros((3, MAX_BYTES // 12), np.float32)
    assert written(version_with(tmp_path, (-1, -1)), row) == ([(1, row.shape[1])], "")
    assert (tmp_path / WARMUP_FILE).stat().st_size < MAX_BYTES


def test_file_is_not_written_when_a_row_is_too_large(tmp_path):
    shapes, missing = written(version_with(tmp_path, (-1, -1)), np.zeros((1, MAX_BYTES // 4 + 1), np.float32))
    assert shapes == []
    assert missing == "the first row has more than 8 MB"


def test_reason_is_kept_when_no_request_can_be_made(tmp_path, monkeypatch):
    assert written(version_with(tmp_path, (-1, 2), key="other"), ROWS) == ([], "it has no default signature")

    def refuse(obj, like, columns):
        raise NotComparable("no such rows")

    monkeypatch.setattr(warmup_records, "call_model", refuse)
    assert written(version_with(tmp_path, (-1, 2)), ROWS) == ([], "no such rows")
