"""The widget panel in JupyterLab: opened from a cell, it and the sidebar and another panel always agree."""

from __future__ import annotations

import json

import nbformat
import pytest

pytest.importorskip("playwright", reason="the browser tests need the package playwright")
from playwright.sync_api import expect

from jupyter_tfserve.notebook.panel.page import SILENCE_S
from tests.browser.conftest import missing
from tests.browser.test_accessibility import AXE, FAULTS

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
    expect(panel.root).to_contain_text("Version 1 answered no request in the last minute.")
    for _ in range(30):
        reply = api.post("v1/models/version/labels/production:predict", json={"instances": [[0.0]]})
        assert reply.status_code == 200
    expect(panel.root).to_contain_text("requests/s that version 1 answered in the last minute", timeout=5000)
    expect(panel.row(1)).to_contain_text(" ms", timeout=5000)
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


def test_panel_is_there_again_and_follows_when_the_page_is_reloaded(lab, serving, files, api):
    name = write_notebook(files, "reloaded.ipynb", f"{LOAD}\n%tfserve panel")
    lab.open_notebook(name)
    lab.run_all()
    panel = WidgetPanel(lab.page.locator(PANEL))
    expect(panel.row(1)).to_contain_text("production", timeout=60_000)
    lab.run("docmanager:save")
    # In Notebook 7 this time, with the same kernel.
    lab.open(f"notebooks/{name}", query="")
    expect(panel.row(1)).to_contain_text("production", timeout=60_000)
    assert api.put(f"{serving}/models/version/labels/production", json={"version": 2}).status_code == 200
    expect(panel.row(2)).to_contain_text("production", timeout=5000)
    panel.field("names version").select_option(label="1 · AVAILABLE")
    panel.button("Apply").click()
    expect(panel.row(1)).to_contain_text("production", timeout=5000)
    lab.screenshot("panel-notebook7")


def test_panel_says_that_it_is_old_when_its_kernel_is_gone(lab, serving, files):
    lab.open_notebook(write_notebook(files, "gone.ipynb", f"{LOAD}\n%tfserve panel"))
    lab.run_all()
    panel = WidgetPanel(lab.page.locator(PANEL))
    expect(panel.row(1)).to_contain_text("production", timeout=60_000)
    silence = panel.root.locator(".silence")
    # Longer than it would stay away without news.
    lab.page.wait_for_timeout((SILENCE_S + 2) * 1000)
    expect(silence).to_be_hidden()
    lab.run("kernelmenu:shutdown")
    expect(silence).to_be_visible(timeout=(SILENCE_S + 10) * 1000)
    expect(silence).to_contain_text("run this cell again")
    lab.screenshot("panel-gone")


def test_panel_shows_hostile_names_as_text_and_gives_the_controls_back_after_a_long_cell(
    lab, serving, files, api
):
    hostile = "<img src=x onerror=alert(1)>"
    alerts = []
    lab.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    models = [
        {"name": name, "base_path": str(files / path), "model_platform": "tensorflow"}
        for name, path in (("version", "saved_models/version"), (hostile, "broken"))
    ]
    models[0] |= {"model_version_policy": {"all": {}}, "version_labels": {hostile: 1, "production": 1}}
    # Nobody may type such names, but a configuration may have them. It waits for the broken model.
    text = json.dumps({"model_config_list": {"config": models}})
    assert "DATA_LOSS" in api.post(f"{serving}/config", json={"text": text}).text
    production = f"{serving}/models/version/labels/production"
    try:
        wait = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)"
        lab.open_notebook(write_notebook(files, "hostile.ipynb", f"{LOAD}\n%tfserve panel version", wait))
        lab.run_all()
        panel = WidgetPanel(lab.page.locator(PANEL))
        # The second cell runs: the panel follows, and says why its controls are off.
        expect(panel.root).to_contain_text("A cell is running")
        expect(panel.button("Apply")).to_be_disabled()
        expect(panel.row(1)).to_contain_text(hostile)
        assert api.put(production, json={"version": 2}).status_code == 200
        expect(panel.row(2)).to_contain_text("production", timeout=5000)
        lab.screenshot("panel-busy")
        (files / "go").touch()
        expect(panel.root).not_to_contain_text("A cell is running")
        panel.field("Label").select_option(label=f"{hostile} (now 1)")
        expect(panel.root).to_contain_text(f"{hostile}' cannot be a version label.")
        panel.field("names version").select_option(label="take the label away")
        expect(panel.root).to_contain_text(f"labels/{hostile}: 1 → gone.")
        # By the keyboard alone.
        panel.button("Apply").press("Enter")
        expect(panel.row(1)).not_to_contain_text(hostile)
        panel.button("History").press("Space")
        panel.field("Model").select_option(label=hostile)
        expect(panel.root).to_contain_text(f"Versions of {hostile}")
        expect(panel.row(1)).to_contain_text("DATA_LOSS", timeout=30_000)
        lab.screenshot("panel-hostile")
        expect(panel.root.locator("img")).to_have_count(0)
        assert alerts == []
    finally:
        api.delete("api/engines/default")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_panel_has_no_accessibility_fault(lab, serving, files, theme):
    if not AXE.exists():
        missing("needs `npm ci` in labextension/")
    lab.run("apputils:change-theme", theme=theme)
    expect(lab.page.locator("#jupyterlab-splash")).to_have_count(0)
    lab.open_notebook(write_notebook(files, "axe.ipynb", f"{LOAD}\n%tfserve panel"))
    lab.run_all()
    panel = WidgetPanel(lab.page.locator(PANEL))
    panel.button("Log").click(timeout=60_000)
    panel.button("History").click()
    expect(panel.root).to_contain_text("label version 1")
    lab.page.evaluate(AXE.read_text())
    lab.page.mouse.move(20, 700)
    lab.page.wait_for_timeout(300)
    lab.screenshot(f"panel-{theme.split()[1].lower()}")
    faults = lab.page.evaluate(FAULTS, PANEL)
    lab.run("apputils:change-theme", theme="JupyterLab Light")
    assert faults == []
