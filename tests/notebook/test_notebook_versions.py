"""The notebook about versions and labels runs from top to bottom."""

from __future__ import annotations

import shutil

import pytest

from tests.notebook.notebook_runs import execute, output_of, read


@pytest.mark.slow
def test_story_comes_out_right_when_every_cell_runs(kernel_home, monkeypatch, make_saved_models):
    # The other notebooks' models lie in the same folder, on Binder and in a clone.
    shutil.copytree(
        make_saved_models("version=1") / "version" / "1",
        kernel_home / "saved_models" / "regression_experiments" / "1",
    )
    notebook = read("02_versions_labels")
    execute(notebook, kernel_home, monkeypatch)
    assert "prices version 1: AVAILABLE (production)" in output_of(notebook, "blue =")
    assert "4 rows agree with the model in this notebook" in output_of(notebook, "blue =")
    blue = next(cell for cell in notebook.cells if cell.source.startswith("blue ="))
    # The live card beside what was saved.
    assert any("application/vnd.jupyter-tfserve.card+json" in item.get("data", {}) for item in blue.outputs)
    assert "prices version 2: AVAILABLE (staging)" in output_of(notebook, "green =")
    assert "prices@staging: MAE" in output_of(notebook, "%tfserve compare")
    assert "300 answers, 2 different values; production was 1" in output_of(notebook, "server = connect")
    assert "production -> 2 (was 1)" in output_of(notebook, "%tfserve history")
    assert "production of prices -> 1 (was 2)" in output_of(notebook, "%tfserve rollback")
    assert "array(" in output_of(notebook, "%%tfserve query")
    assert "production of prices -> 2 (was 1)" in output_of(notebook, "assert np.allclose")
    assert "import requests" in output_of(notebook, "%tfserve snippet")
    assert "TensorFlow in this kernel" in output_of(notebook, "%tfserve bench")
    # TensorFlow's greeting would be the first thing that a newcomer reads.
    assert output_of(notebook, "%load_ext") == ""
    # Progress is gone when a cell is done.
    assert "…" not in output_of(notebook, "%tfserve bench")
