"""The user guide's first three cells, in an empty folder: a served, labelled model, and a curl line to copy."""

from __future__ import annotations

import json
import re
import subprocess
import time

import nbformat
import pytest

from tests.notebook.notebook_runs import ROOT, execute, shown_by

GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_copied_curl_line_is_answered_when_the_guides_three_cells_have_run(kernel_home, monkeypatch):
    section = GUIDE.partition("\n## From an empty folder")[2].partition("\n## ")[0]
    cells = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(cells) == 3
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    answers = []

    def run_curl(cell, cell_index, execute_reply):
        # While the kernel lives, which owns the server here.
        if cell_index == 2:
            (line,) = re.findall(r"^ *(curl .*)$", shown_by(cell), re.MULTILINE)
            answers.append(subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout)

    began = time.monotonic()
    execute(notebook, kernel_home, monkeypatch, on_cell_executed=run_curl)
    print(f"from an empty folder to curl's answer: {time.monotonic() - began:.1f} s")
    assert "line version 1: AVAILABLE (production)" in shown_by(notebook.cells[1])
    assert "2 requests replayed in" in shown_by(notebook.cells[1])
    (answer,) = answers
    (prediction,) = json.loads(answer)["predictions"]
    assert isinstance(prediction[0], float)
