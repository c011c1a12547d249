"""The widget panel in JupyterLab: opened from a cell, it and the sidebar and another panel always agree."""

from __future__ import annotations

import nbformat
import pytest

pytest.importorskip("playwright", reason="the browser tests need the package playwright")
from playwright.sync_api import expect

LOAD = "%load_ext jupyter_tfserve"
PANEL = ".jp-tfserve-WidgetPanel"


def write_notebook(files, name, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, files / name)
    return name


class WidgetPanel:
    """One panel, by what a person sees of it."""

    def __init__(self, root):
        self.root = root

    def row(self, version):
        return self.root.locator(f"tr[data-version='{version}']")

    def field(self, name):
        return self.root.get_by_label(name, exact=True)

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)


def test_panel_moves_a_label_and_the_sidebar_and_another_panel_follow(lab, serving, files, api):
    name = write_notebook(files, "panel.ipynb", f"{LOAD}\n%tfserve panel", "%tfserve panel version")
    lab.open_notebook(name)
    lab.run_all()
    roots = lab.page.locator(PANEL)
    expect(roots).to_have_count(2, timeout=60_000)
    panel, other = WidgetPanel(roots.nth(0)), WidgetPanel(roots.nth(1))
    expect(panel.row(1)).to_contain_text("production")
    lab.screenshot("panel")
    expect(panel.button("Undo")).to_be_disabled()
    panel.field("names version").select_option(label="2 · AVAILABLE")
    expect(panel.root).to_contain_text("labels/production: 1 → 2.")
    panel.button("Apply").click()
    expect(lab.chip("production", 2)).to_be_visible(timeout=2000)
    for each in (panel, other):
        expect(each.row(2)).to_contain_text("production", timeout=5000)
    lab.screenshot("panel-moved")
    panel.button("Undo").click()
    expect(lab.chip("production", 1)).to_be_visible(timeout=5000)
    expect(other.row(1)).to_contain_text("production", timeout=5000)
