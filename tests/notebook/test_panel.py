"""The panel on a real engine: buttons, two panels that agree, an engine that goes and comes, and a real kernel."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.api import connect
from jupyter_tfserve.notebook.discovery import Discovery

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60
FREE_PORT = -1


def until(condition, what="the condition did not come true"):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)


class Person:
    """Who uses a panel: by its widgets' descriptions."""

    def __init__(self, panel):
        self.panel = panel
        self.widgets = list(self._tree(panel.widget))
        panel.start()
        until(lambda: "kept by" in self.text(), self.text)

    def _tree(self, widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from self._tree(child)

    def text(self):
        """All that is to be read."""
        return " ".join(item.value for item in self.widgets if type(item).__name__ == "HTML")

    def widget(self, description):
        return next(item for item in self.widgets if getattr(item, "description", "") == description)

    def choose(self, description, value):
        self.widget(description).value = value

    def press(self, description):
        button = self.widget(description)
        until(lambda: not button.disabled, lambda: f"{description} is disabled: {button.tooltip}")
        button.click()

    def sees(self, text):
        until(lambda: text in self.text(), lambda: f"{text!r} is not in {self.text()}")


@pytest.fixture
def panels(server):
    """Makes panels of the shared server; closed at the end, and all versions are served again."""
    made = []

    def make(model="version"):
        made.append(server.panel(model))
        return Person(made[-1])

    yield make
    for panel in made:
        panel.close()
    for label in server.model("version").labels:
        server.unlabel(label, "version")
    server.versions("all", model="version")


def test_label_is_made_moved_undone_and_taken_away_when_buttons_are_pressed(server, panels):
    person, other = panels(), panels()
    person.choose("Label", "")
    person.choose("Name", "panel-1")
    person.choose("names version", "2")
    person.sees("labels/panel-1: new → 2.")
    person.press("Apply")
    for each in (person, other):
        each.sees("<span class='chip'>panel-1</span>")
    assert server.model("version").labels == {"panel-1": 2}
    assert person.widget("Label").value == "panel-1"
    person.choose("names version", "3")
    person.press("Apply")
    until(lambda: server.model("version").labels == {"panel-1": 3})
    person.press("Undo")
    until(lambda: server.model("version").labels == {"panel-1": 2})
    person.choose("names version", "take away")
    person.press("Apply")
    until(lambda: server.model("version").labels == {})
    other.sees("removed (was 2)")


def test_move_is_refused_with_a_next_step_when_somebody_was_faster(server, panels):
    server.label("production", 1, "version")
    person = panels()
    person.choose("Label", "production")
    person.choose("names version", "2")
    person.panel._refresher.stop()
    assert person.panel._refresher.join(DEADLINE_S)
    server.label("production", 3, "version")
    person.press("Apply")
    until(lambda: person.panel._has_acted)
    person.panel.refresh()
    person.sees("Label production was changed meanwhile: it names version 3 now.")
    person.sees("Look at what would change from there")
    assert server.model("version").labels == {"production": 3}


def test_versions_are_unloaded_loaded_chosen_and_rolled_back_when_buttons_are_pressed(server, panels):
    def up():
        return {item.version for item in server.model("version").versions if item.state == "AVAILABLE"}

    person = panels()
    person.choose("Version", "1")
    person.press("Unload")
    person.sees("Versions: specific 2 3.")
    assert up() == {2, 3}
    person.press("Load")
    person.sees("Version 1 is AVAILABLE.")
    assert up() == {1, 2, 3}
    person.choose("Serve", "latest")
    person.choose("Numbers", "one")
    person.sees("&#x27;one&#x27; is not a whole number.")
    assert person.widget("Set").disabled
    person.choose("Numbers", "1")
    person.press("Set")
    person.sees("Versions: latest 1.")
    assert up() == {3}
    person.press("Roll back")
    person.sees("Rolled back: version versions: specific 1 2 3 (was latest 1).")
    assert up() == {1, 2, 3}


def test_traffic_is_seen_when_requests_are_answered(server, panels):
    person = panels()
    server.query("version/2", [[0.0]])
    until(lambda: server.figures().version("version", 2).requests_per_second > 0)
    person.choose("Label", "")
    person.choose("Name", "x")
    until(lambda: " ms</td>" in person.text(), person.text)
    person.sees("Requests per second in the last 60 seconds: version 3 ")


def test_log_is_read_only_while_it_is_shown(server, panels):
    person = panels()
    assert "The log is empty" in person.text()
    person.choose("Log", True)
    until(lambda: "The log is empty" not in person.text())


def test_panel_of_an_unknown_model_is_refused_with_the_known_ones(server):
    with pytest.raises(ServingError) as raised:
        server.panel("unknown")
    assert raised.value.code is Code.NOT_FOUND
    assert "version" in raised.value.hint


def test_panel_shows_text_and_html_and_asks_nothing_when_there_is_no_kernel(server):
    panel = server.panel("version")
    bundle = panel._repr_mimebundle_()
    assert bundle.keys() == {"text/plain", "text/html"}
    assert "AVAILABLE" in bundle["text/plain"]
    assert not panel.is_following


def test_closed_panel_follows_no_longer(panels):
    person = panels()
    person.press("Close")
    assert not person.panel.is_following
    assert person.panel._refresher.join(DEADLINE_S)
    assert person.panel.widget.comm is None


@pytest.mark.fault
def test_panel_goes_on_when_its_engine_crashed_and_when_another_one_was_started(kernel_home):
    # Without models an engine starts in a moment.
    discovery = Discovery(kernel_home, ask_jupyter=False)
    server = connect(rest_port=FREE_PORT, grpc_port=FREE_PORT, discovery=discovery)
    person = Person(server.panel())
    try:
        crashed = server.state().engine.pid
        psutil.Process(crashed).kill()
        until(lambda: person.panel._snapshot.state.engine.pid != crashed)
        server.stop()
        person.sees("No model server runs for this notebook.")
        person.sees("%tfserve start")
        assert person.widget("Label").disabled
        server = connect(rest_port=FREE_PORT, grpc_port=FREE_PORT, discovery=discovery)
        until(lambda: f"<code>{server.rest_url}</code>" in person.text(), person.text)
        person.sees("Serve one: ")
        assert "No model server runs" not in person.text()
    finally:
        person.panel.close()
        server.stop()


CELLS = (
    "%load_ext jupyter_tfserve\n%tfserve start ./saved_models/version",
    "panel = %tfserve panel\npanel",
    # While this cell runs, what the panel shows changes, and it says that clicks wait.
    "import time\n"
    "def text():\n"
    "    return ' '.join(getattr(child, 'value', '') for child in panel.widget.children)\n"
    "%tfserve label production=3\n"
    "deadline = time.monotonic() + 60\n"
    "while not (\"<span class='chip'>production\" in text() and 'A cell is running' in text()):\n"
    "    assert time.monotonic() < deadline, text()\n"
    "    time.sleep(0.02)\n"
    "apply = panel.widget.children[6].children[3]\n"
    "assert (apply.description, apply.disabled) == ('Apply', True)",
)


@pytest.mark.slow
def test_panel_in_a_kernel_is_a_widget_with_a_fallback_and_follows_while_a_cell_runs(
    kernel_home, models_folder, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    (kernel_home / "saved_models").symlink_to(models_folder)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(kernel_home)}}
    )
    with warnings.catch_warnings():
        # The client's own: pyzmq and traitlets warn about things that are not ours.
        warnings.simplefilter("ignore")
        client.execute()
    note, output = notebook.cells[1].outputs
    # It stays when the kernel is gone, and the widget with it.
    assert "after a restart run the cell again" in note.data["text/html"]
    assert not any("widget" in kind for kind in note.data)
    assert "AVAILABLE" in output.data["text/plain"]
    assert "<table>" in output.data["text/html"]
    view = output.data["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert client.widget_state[view]["_model_name"] == "VBoxModel"
