"""The notebooks 03 to 06 run from top to bottom without a network, and are committed without outputs."""

from __future__ import annotations

import re
import shutil

import nbformat
import pytest

from tests.notebook.notebook_runs import ROOT, execute, output_of, plots_of, read

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody is: what a notebook would download is out of reach, here and in CI."""


def executed(name, home, monkeypatch):
    """The notebook after all of its cells have run in `home`."""
    monkeypatch.setenv("KERAS_HOME", str(home / "keras"))
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    notebook = read(name)
    execute(notebook, home, monkeypatch)
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_empty_when_committed(path):
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere_when_committed(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / target).exists(), target
    for target in re.findall(r"`(docs/[^`]+)`", text):
        assert (ROOT / target).exists(), target


def test_every_notebook_is_in_the_wheel_when_built():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert f'"notebooks/{path.name}" = "jupyter_tfserve/notebook/notebooks/{path.name}"' in text


@pytest.mark.slow
def test_digits_are_read_by_every_client_when_every_cell_runs(kernel_home, monkeypatch):
    notebook = executed("03_digits", kernel_home, monkeypatch)
    assert output_of(notebook, "%load_ext") == ""
    assert "as MNIST is out of reach" in output_of(notebook, "from PIL import Image")
    saved = output_of(notebook, "%tfserve save")
    assert "digits version 1: AVAILABLE (production)" in saved
    assert "2 requests replayed in" in saved
    assert output_of(notebook, "%%tfserve query", "text/html").count("data:image/png") == 6
    read_by_requests = re.search(r"read: (.*) written: (.*)", output_of(notebook, "import requests"))
    assert read_by_requests[1] == read_by_requests[2]
    node = output_of(notebook, 'Path("digit.json")')
    first = read_by_requests[1].strip("[]").split(",")[0]
    assert node.strip() == f"a {first}" if shutil.which("node") else "not installed" in node
    assert "shape [2,27,28], wanted [?,28,28]" in output_of(notebook, "from jupyter_tfserve.errors")
    assert len(plots_of(notebook)) == 2


@pytest.mark.slow
def test_jpeg_files_are_read_over_grpc_and_rest_when_every_cell_runs(kernel_home, monkeypatch):
    notebook = executed("04_grpc_jpeg", kernel_home, monkeypatch)
    assert output_of(notebook, "%load_ext") == ""
    saved = output_of(notebook, "%tfserve save")
    assert "takes   images [?] string" in saved
    assert "gives   probabilities [?,3] float32" in saved
    assert "3 rows agree with the model in this notebook" in saved
    assert output_of(notebook, "%%tfserve query", "text/html").count("data:image/jpeg") == 5
    assert output_of(notebook, "import grpc").count(" read as ") == 4
    assert output_of(notebook, "try:").startswith("INVALID_ARGUMENT\n")
    assert "the same over gRPC: True" in output_of(notebook, "import base64")
    described = output_of(notebook, "from tensorflow_serving.apis import get_model")
    assert described.split("\n")[:2] == ["takes images [-1] string", "gives probabilities [-1, 3] float32"]


@pytest.mark.slow
def test_batching_and_speed_are_plotted_when_every_cell_runs(kernel_home, monkeypatch):
    notebook = executed("05_batching_speed", kernel_home, monkeypatch)
    assert output_of(notebook, "%load_ext") == ""
    assert "TensorFlow in this kernel" in output_of(notebook, "%tfserve bench")
    assert "data:image/png" in output_of(notebook, "%tfserve bench", "text/html")
    assert len(plots_of(notebook)) == 2


@pytest.mark.slow
def test_strings_are_answered_when_every_cell_runs(kernel_home, monkeypatch):
    notebook = executed("06_recommender_text", kernel_home, monkeypatch)
    assert output_of(notebook, "%load_ext") == ""
    saved = output_of(notebook, "%tfserve save recommender")
    assert "takes   person [?] string" in saved
    assert "gives   films [?,5] string, stars [?,5] float32" in saved
    assert "4 rows agree with the model in this notebook" in saved
    share = re.match(r"(\d+)% of 600 recommendations", output_of(notebook, "server = connect"))
    assert int(share[1]) > 80
    assert "4 rows agree with the model in this notebook" in output_of(notebook, "%tfserve save critic")
    answers = output_of(notebook, "%%bash").replace(" ", "")
    assert '"films":["' in answers
    assert "error" not in answers
