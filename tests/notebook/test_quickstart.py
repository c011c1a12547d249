"""The quick-start notebook runs from top to bottom."""

from __future__ import annotations

import shutil

import pytest

from tests.notebook.notebook_runs import execute, output_of, plots_of, read


@pytest.mark.slow
def test_story_comes_out_right_when_every_cell_runs(kernel_home, monkeypatch, make_saved_models):
    # The other notebooks' models lie in the same folder, on Binder and in a clone.
    shutil.copytree(
        make_saved_models("version=1") / "version" / "1", kernel_home / "saved_models" / "prices" / "1"
    )
    notebook = read("01_quickstart")
    execute(notebook, kernel_home, monkeypatch)
    assert "AVAILABLE" in output_of(notebook, "%tfserve start")
    assert "array(" in output_of(notebook, "%%tfserve query regression_experiments/1")
    assert "production -> 1" in output_of(notebook, "%tfserve label production=1")
    assert "400 answers, 2 different values" in output_of(notebook, "answers = []")
    assert '"predictions"' in output_of(notebook, "%%bash").replace("'", '"')
    assert "version 3: AVAILABLE (test)" in output_of(notebook, "candidate")
    assert "4 rows agree with the model in this notebook" in output_of(notebook, "candidate")
    # TensorFlow's greeting would be the first thing that a newcomer reads.
    assert output_of(notebook, "%load_ext") == ""
    assert len(plots_of(notebook)) == 3
