"""Comparing on a real engine: many rows in batches, times of single ones."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.row_runs import BATCH_ROWS, choose_output, count_rows, cut_rows


def test_versions_are_compared_when_there_are_more_rows_than_a_batch_holds(server):
    x = np.zeros((BATCH_ROWS + 44, 1), np.float32)
    truth = np.full((len(x), 1), 2.0)
    found = server.compare("version/1", "version/2", x, truth, output="y")
    assert found.rows == 300
    assert (found.a.scores["MAE"], found.b.scores["MAE"]) == (1.0, 0.0)
    assert found.agreement == 0.0
    assert len(found.a.latencies_ms) == len(found.b.latencies_ms) >= 5
    assert (found.a.latencies_ms > 0).all()


def test_rows_are_limited_when_there_are_many(server):
    x = np.zeros((500, 1), np.float32)
    assert server.compare("version/1", "version/1", x, np.zeros(500), output="y", limit=20).rows == 20


def test_texts_are_compared_when_inputs_are_named(server):
    columns = {"text": ["a", "b"], "suffix": ["x", "y"]}
    found = server.compare("strings", "strings", columns, output="joined")
    assert found.agreement == 1.0


def test_output_must_be_named_when_there_are_several(server):
    with pytest.raises(ServingError) as caught:
        server.compare("version/1", "version/2", [[1.0]])
    assert caught.value.hint == "Name it with --output: version, y."


@pytest.mark.parametrize(
    ("document", "count", "part"),
    [
        ({"instances": [1, 2, 3]}, 3, {"instances": [2]}),
        ({"inputs": {"a": [1, 2], "b": [3, 4]}}, 2, {"inputs": {"a": [2], "b": [4]}}),
        ({"inputs": [1, 2]}, 2, {"inputs": [2]}),
    ],
)
def test_rows_are_counted_and_cut_when_a_request_is_any(document, count, part):
    assert count_rows(document) == count
    assert cut_rows(document, 1, 2) == part


@pytest.mark.parametrize("document", [{"instances": []}, {"inputs": 5}, {"inputs": {"a": [1], "b": [1, 2]}}])
def test_rows_are_missed_when_there_are_none(document):
    with pytest.raises(ServingError):
        count_rows(document)


def test_only_output_is_taken_when_no_name_is_given():
    assert choose_output({"y": np.array([1])}, None).tolist() == [1]
    with pytest.raises(ServingError):
        choose_output({"y": np.array([1]), "z": np.array([1])}, "q")
