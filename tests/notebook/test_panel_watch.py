"""How a panel follows engines that come and go, its thread, and how many panels there are. No engine is needed."""

from __future__ import annotations

import threading
from contextvars import ContextVar, copy_context
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.jupyter_server import ExtensionMissing
from jupyter_tfserve.notebook.panel.busy import PATIENCE_S, CellWatch, execution_of
from jupyter_tfserve.notebook.panel.open_panels import OpenPanels
from jupyter_tfserve.notebook.panel.refresher import Refresher, thread_of_cell
from jupyter_tfserve.notebook.panel.snapshot import Snapshot
from jupyter_tfserve.notebook.panel.watch import EngineWatch, _versions_in

DEADLINE_S = 30


class GoneEngine:
    """An engine that does not run."""

    owner, name, jupyter_url, notes = "this kernel", None, None, ()
    log_path = Path("/nowhere/engine.log")

    def __init__(self, is_restarting=False, error=None):
        self.is_restarting, self.error = is_restarting, error

    def connection(self):
        raise ServingError(Code.UNAVAILABLE, "The engine has stopped.", "Start it.")

    def is_coming_back(self):
        if self.error is not None:
            raise self.error
        return self.is_restarting

    def stop(self):
        raise AssertionError


def problem_of(watch):
    snapshot = watch.look()
    assert snapshot.problem is not None
    return f"{snapshot.problem.message} {snapshot.problem.hint}"


def test_restart_is_named_and_nothing_else_is_looked_for_while_an_engine_comes_back():
    watch = EngineWatch(GoneEngine(is_restarting=True), find=pytest.fail)
    assert problem_of(watch) == "The engine is being started again. The panel goes on when it is up."


@pytest.mark.parametrize("found", [None, GoneEngine()])
def test_start_is_the_next_step_when_no_engine_runs(found):
    assert "%tfserve start" in problem_of(EngineWatch(GoneEngine(), find=lambda: found))


def test_missing_extension_is_explained_when_the_jupyter_server_cannot_be_asked():
    watch = EngineWatch(GoneEngine(error=ExtensionMissing("it does not answer")), find=lambda: None)
    assert "it does not answer" in problem_of(watch)
    assert "doctor" in problem_of(watch)


def test_other_releases_answer_is_named_when_it_is_not_understood(monkeypatch):
    watch = EngineWatch(GoneEngine(), find=lambda: None)
    monkeypatch.setattr(watch, "_look", lambda wants_log: {}["engine"])
    assert problem_of(watch).startswith("The engine's answer is not understood. Start it anew")


class Documents:
    """A client whose history tests write. `asked` has the limits."""

    def __init__(self):
        self.events, self.asked = [], []

    def history(self, limit):
        self.asked.append(limit)
        return self.events[:limit]

    def add(self, detail):
        event = {
            "time": float(len(self.events)),
            "kind": "label",
            "model": "m",
            "version": 1,
            "detail": detail,
        }
        self.events.insert(0, event)


def test_history_is_read_whole_only_when_there_is_something_new():
    watch, client = EngineWatch(GoneEngine(), find=lambda: None), Documents()
    assert watch._events_of(client) == ()
    for detail in ("a -> 1", "b -> 1"):
        client.add(detail)
    assert [event.detail for event in watch._events_of(client)] == ["b -> 1", "a -> 1"]
    client.asked.clear()
    assert len(watch._events_of(client)) == 2
    assert client.asked == [1]


def test_what_was_known_stays_when_the_engine_goes():
    watch = EngineWatch(GoneEngine(), find=lambda: None)
    watch._last = Snapshot(log="the last words")
    assert watch.look().log == "the last words"


def test_folder_has_the_versions_that_a_person_may_load(tmp_path):
    for name in ("1", "12", "007", "x", "1_0", "assets"):
        (tmp_path / name).mkdir()
    (tmp_path / "5").write_text("no folder")
    model = ModelState("m", str(tmp_path), {}, {}, ())
    assert _versions_in(model) == (1, 12)
    assert _versions_in(replace(model, base_path=str(tmp_path / "missing"))) == ()


def test_refresher_goes_on_after_a_failure_and_ends_when_stopped(caplog):
    calls = threading.Semaphore(0)

    def refresh():
        calls.release()
        raise ValueError("a bug")

    refresher = Refresher(refresh, period_s=0.001)
    refresher.start()
    refresher.start()
    for _ in range(5):
        assert calls.acquire(timeout=DEADLINE_S)
    refresher.stop()
    assert refresher.join(DEADLINE_S)
    assert not refresher.is_running
    # A kernel shows warnings in the notebook: one is enough.
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_refresher_does_not_wait_for_its_period_when_it_is_poked():
    calls = threading.Semaphore(0)
    refresher = Refresher(calls.release, period_s=3600)
    refresher.start()
    assert calls.acquire(timeout=DEADLINE_S)
    refresher.poke()
    assert calls.acquire(timeout=DEADLINE_S)
    refresher.stop()
    assert refresher.join(DEADLINE_S)


def test_thread_speaks_as_the_cell_that_started_it_when_the_kernel_was_asked_since():
    parent = ContextVar("parent", default="somebody else")
    parent.set("the cell")
    heard = []
    thread = thread_of_cell(lambda: heard.append(parent.get()), "test")
    context = copy_context()
    parent.set("a later cell")
    later = thread_of_cell(lambda: heard.append(parent.get()), "test", context)
    for each in (thread, later):
        each.start()
        each.join(DEADLINE_S)
    assert heard == ["the cell", "the cell"]


class StoppablePanel:
    def __init__(self):
        self.is_stopped = False

    def stop(self):
        self.is_stopped = True


def test_earlier_runs_of_a_cell_are_stopped_when_it_is_run_again():
    panels = OpenPanels()
    first, twin, again, elsewhere = (StoppablePanel() for _ in range(4))
    panels.add(first, ("cell", "run 1"))
    panels.add(twin, ("cell", "run 1"))
    panels.add(elsewhere, ("other cell", "run 2"))
    assert not first.is_stopped
    panels.add(again, ("cell", "run 3"))
    assert [panel.is_stopped for panel in (first, twin, again, elsewhere)] == [True, True, False, False]


@pytest.mark.parametrize("execution", [None, ("", "run")])
def test_oldest_panel_is_stopped_when_there_are_too_many(execution):
    panels = OpenPanels(max_open=2)
    made = [StoppablePanel() for _ in range(4)]
    panels.add(made[0], execution)
    panels.discard(made[0])
    for panel in made[1:]:
        panels.add(panel, execution)
    assert [panel.is_stopped for panel in made] == [False, True, False, False]


class Shell:
    """IPython's shell, as far as a panel looks at it."""

    def __init__(self, message=None):
        self.events, self.callbacks = self, {}
        self.message = message or {}

    def register(self, name, callback):
        self.callbacks[name] = callback

    def unregister(self, name, callback):
        assert self.callbacks.pop(name) == callback

    def get_parent(self):
        return self.message


def test_kernel_is_busy_when_a_cell_runs_longer_than_a_moment():
    now = [100.0]
    shell = Shell()
    watch = CellWatch(shell, lambda: now[0])
    assert not watch.is_busy
    shell.callbacks["pre_run_cell"]("info")
    assert not watch.is_busy
    now[0] += PATIENCE_S * 2
    assert watch.is_busy
    shell.callbacks["post_run_cell"]("result")
    assert not watch.is_busy
    watch.close()
    assert shell.callbacks == {}


def test_cell_that_shows_the_panel_counts_when_it_goes_on():
    message = {"header": {"msg_type": "execute_request", "msg_id": "7"}, "metadata": {"cellId": "c"}}
    now = [0.0]
    watch = CellWatch(Shell(message), lambda: now[0])
    now[0] += PATIENCE_S * 2
    assert watch.is_busy
    assert execution_of(Shell(message)) == ("c", "7")


@pytest.mark.parametrize("shell", [None, Shell(), Shell({"header": {"msg_type": "comm_msg"}})])
def test_no_cell_is_known_when_none_runs(shell):
    assert execution_of(shell) is None
    watch = CellWatch(shell)
    assert not watch.is_busy
    watch.close()
