"""The user guide's first three cells, in an empty folder: a served, labelled model, and a curl line to copy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")


def text_of(cell):
    return "\n".join(item.get("text") or item.get("data", {}).get("text/plain", "") for item in cell.outputs)


@pytest.mark.slow
def test_copied_curl_line_is_answered_when_the_guides_three_cells_have_run(kernel_home, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    section = GUIDE.partition("\n## From an empty folder")[2].partition("\n## ")[0]
    cells = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(cells) == 3
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    answers = []

    def run_curl(cell, cell_index, execute_reply):
        # While the kernel lives, which owns the server here.
        if cell_index == 2:
            (line,) = re.findall(r"^ *(curl .*)$", text_of(cell), re.MULTILINE)
            answers.append(subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout)

    resources = {"metadata": {"path": str(kernel_home)}}
    client = NotebookClient(notebook, timeout=600, resources=resources, on_cell_executed=run_curl)
    began = time.monotonic()
    with warnings.catch_warnings():
        # The client's own: pyzmq and traitlets warn about things that are not ours.
        warnings.simplefilter("ignore")
        client.execute()
    print(f"from an empty folder to curl's answer: {time.monotonic() - began:.1f} s")
    assert "line version 1: AVAILABLE (production)" in text_of(notebook.cells[1])
    assert "2 requests replayed in" in text_of(notebook.cells[1])
    (answer,) = answers
    (prediction,) = json.loads(answer)["predictions"]
    assert isinstance(prediction[0], float)
