"""The quick-start notebook runs from top to bottom, and is committed without outputs."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "01_quickstart.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_outputs_are_empty_when_committed(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def output_of(notebook, start):
    """All text that the cell which begins so has shown."""
    cell = next(cell for cell in notebook.cells if cell.source.startswith(start))
    texts = [item.get("text") or item.get("data", {}).get("text/plain", "") for item in cell.outputs]
    return "\n".join(texts)


@pytest.mark.slow
def test_story_comes_out_right_when_every_cell_runs(kernel_home, monkeypatch, notebook, make_saved_models):
    # The other notebooks' models lie in the same folder, on Binder and in a clone.
    shutil.copytree(
        make_saved_models("version=1") / "version" / "1", kernel_home / "saved_models" / "prices" / "1"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(kernel_home)}}
    )
    with warnings.catch_warnings():
        # The client's own: pyzmq and traitlets warn about things that are not ours.
        warnings.simplefilter("ignore")
        client.execute()
    assert "AVAILABLE" in output_of(notebook, "%tfserve start")
    assert "array(" in output_of(notebook, "%%tfserve query regression_experiments/1")
    assert "production -> 1" in output_of(notebook, "%tfserve label production=1")
    assert "400 answers, 2 different values" in output_of(notebook, "answers = []")
    assert '"predictions"' in output_of(notebook, "%%bash").replace("'", '"')
    assert "version 3: AVAILABLE (test)" in output_of(notebook, "candidate")
    assert "4 rows agree with the model in this notebook" in output_of(notebook, "candidate")
    # TensorFlow's greeting would be the first thing that a newcomer reads.
    assert output_of(notebook, "%load_ext") == ""
    plots = [
        item
        for cell in notebook.cells
        for item in cell.get("outputs", [])
        if "image/png" in item.get("data", {})
    ]
    assert len(plots) == 3
