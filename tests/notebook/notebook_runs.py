"""A notebook run from top to bottom in a kernel of its own, and what its cells have shown."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]


def read(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def execute(notebook, home, monkeypatch, **hooks):
    """Runs every cell in `home`; the kernel imports this package from where it lies."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    resources = {"metadata": {"path": str(home)}}
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources, **hooks)
    with warnings.catch_warnings():
        # The client's own: pyzmq and traitlets warn about things that are not ours.
        warnings.simplefilter("ignore")
        client.execute()


def output_of(notebook, start, kind="text/plain"):
    """All text that the cell which begins so has shown."""
    return shown_by(next(cell for cell in notebook.cells if cell.source.startswith(start)), kind)


def shown_by(cell, kind="text/plain"):
    """All text that a cell has shown; streams count as plain text."""
    if kind != "text/plain":
        return "\n".join(item.get("data", {}).get(kind, "") for item in cell.outputs)
    return "\n".join(item.get("text") or item.get("data", {}).get(kind, "") for item in cell.outputs)


def plots_of(notebook):
    return [
        item
        for cell in notebook.cells
        for item in cell.get("outputs", [])
        if "image/png" in item.get("data", {})
    ]
