"""The notebook about versions and labels runs from top to bottom, and is committed without outputs."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "02_versions_labels.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def output_of(notebook, start):
    """All text that the cell which begins so has shown."""
    cell = next(cell for cell in notebook.cells if cell.source.startswith(start))
    texts = [item.get("text") or item.get("data", {}).get("text/plain", "") for item in cell.outputs]
    return "\n".join(texts)


def test_outputs_are_empty_when_committed(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.slow
def test_story_comes_out_right_when_every_cell_runs(kernel_home, monkeypatch, notebook, make_saved_models):
    # The other notebooks' models lie in the same folder, on Binder and in a clone.
    shutil.copytree(
        make_saved_models("version=1") / "version" / "1",
        kernel_home / "saved_models" / "regression_experiments" / "1",
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(kernel_home)}}
    )
    with warnings.catch_warnings():
        # The client's own: pyzmq and traitlets warn about things that are not ours.
        warnings.simplefilter("ignore")
        client.execute()
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
