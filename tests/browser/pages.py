"""What a person does in the browser, by what they see: used by the tests in this folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

PANEL = "#jupyter-tfserve-panel"
IDLE = ".jp-Notebook-ExecutionIndicator[data-status='idle']"


class Lab:
    """JupyterLab in a page."""

    def __init__(self, page, url, token):
        self.page, self.url, self.token = page, url, token
        self.panel = page.locator(PANEL)

    def open(self, path="lab", query="reset&"):
        """Lab, ready, with our sidebar shown."""
        self.page.goto(f"{self.url}{path}?{query}token={self.token}")
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
        self.page.evaluate("async () => { await window.jupyterapp.restored; }")
        if path == "lab" and query.startswith("reset"):
            # An empty workspace gets a launcher by and by, which takes the focus when it comes.
            self.page.locator(".jp-Launcher").first.wait_for()
        self.run("jupyter-tfserve:open-panel")
        self.panel.wait_for()

    def run(self, command, **args):
        """Executes a command of the front end."""
        # What it returns may be a widget, which has no way out of the page.
        code = "async ([id, args]) => { await window.jupyterapp.commands.execute(id, args); }"
        if command.startswith("notebook:run-"):
            # Its promise is kept when the cells have run; what they do is what a test waits for.
            code = "([id, args]) => { void window.jupyterapp.commands.execute(id, args); }"
        self.page.evaluate(code, [command, args])

    def action(self, name, within=None):
        """The button that does `name`."""
        return (within or self.panel).locator(f"[data-action='{name}']")

    def model(self, name="version"):
        return self.panel.locator(f".jp-tfserve-Model[data-model='{name}']")

    def row(self, version, model="version"):
        return self.model(model).locator(f"tr[data-version='{version}']")

    def chip(self, label, version, model="version"):
        """The chip of `label` in the row of `version`."""
        return self.row(version, model).locator(f".jp-tfserve-Chip[data-label='{label}']")

    def state(self, version, state, model="version"):
        """The mark of a version in `state`."""
        return self.row(version, model).locator(f".jp-tfserve-State[data-state='{state.lower()}']")

    def open_notebook(self, name):
        """A notebook of the file browser, its kernel idle."""
        self.run("docmanager:open", path=name)
        self.page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()
        self.page.locator(IDLE).first.wait_for(state="attached", timeout=60_000)
        # Idle is shown before the kernel can be asked: a cell that is run too early never runs.
        self.page.evaluate(
            "async () => { const context = window.jupyterapp.shell.currentWidget.sessionContext;"
            " await context.ready; await context.session.kernel.info; }"
        )
        self.page.wait_for_function(
            "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.connectionStatus === 'connected'"
        )

    def run_all(self):
        self.run("notebook:run-all-cells")

    def until(self, condition, timeout_s=90.0):
        """Returns when `condition` holds; the page goes on living meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            self.page.wait_for_timeout(50)

    def screenshot(self, name):
        """For people: `TFSERVE_SCREENSHOTS` names the folder."""
        folder = os.environ.get("TFSERVE_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png")
