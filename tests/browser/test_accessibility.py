"""axe finds no fault of weight in what we draw, in both themes. It comes with the linter of labextension/."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="the browser tests need the package playwright")
from playwright.sync_api import expect

from tests.browser.conftest import ROOT, missing

AXE = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
FAULTS = """async selector => (await axe.run(selector, {resultTypes: ['violations']})).violations
    .map(rule => `${rule.impact} ${rule.id}: ${rule.nodes.map(node => node.html).join(' | ')}`)"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_sidebar_has_no_accessibility_fault(lab, serving, theme):
    if not AXE.exists():
        missing("needs `npm ci` in labextension/")
    lab.run("apputils:change-theme", theme=theme)
    expect(lab.page.locator("#jupyterlab-splash")).to_have_count(0)
    lab.chip("production", 1).click()
    lab.action("copy-curl").click()
    lab.action("history").click()
    lab.action("stop").click()
    lab.run("jupyter-tfserve:serve")
    expect(lab.panel.locator("input[name='path']")).to_be_visible()
    expect(lab.panel.locator(".jp-tfserve-History li").first).to_be_visible()
    lab.page.evaluate(AXE.read_text())
    # Hovering and pressing fade colours in; axe would measure half of it.
    lab.page.mouse.move(900, 500)
    lab.page.wait_for_timeout(300)
    lab.screenshot(f"axe-{theme.split()[1].lower()}")
    assert lab.page.evaluate(FAULTS, "#jupyter-tfserve-panel") == []
    assert lab.page.evaluate(FAULTS, ".jp-tfserve-StatusItem") == []


@pytest.fixture(autouse=True)
def light_again(lab):
    yield
    lab.run("apputils:change-theme", theme="JupyterLab Light")
