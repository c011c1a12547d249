"""The line that tells how far a cell is: shown at once, not too often, gone at the end."""

from __future__ import annotations

from jupyter_tfserve.notebook import progress
from jupyter_tfserve.notebook.progress import ProgressLine, cell_progress, silent


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_line_is_changed_ten_times_a_second_when_there_are_many_steps():
    shown, clock = [], Clock()
    line = ProgressLine(shown.append, clock)
    for step in range(101):
        clock.now = step / 100
        line.say("Sending", step / 100)
    assert 9 <= len(shown) <= 12
    assert shown[0]["text/plain"] == "Sending … 0%"


def test_new_text_is_shown_at_once_when_the_step_changes():
    shown = []
    line = ProgressLine(shown.append, Clock())
    line.say("One <b>")
    line.say("Two", 2.0)
    assert [item["text/plain"] for item in shown] == ["One <b> …", "Two … 100%"]
    assert "<b>" not in shown[0]["text/html"]
    assert "value='1.000'" in shown[1]["text/html"]


def test_nothing_is_left_when_the_cell_ends_by_an_interrupt(monkeypatch):
    shown = []
    monkeypatch.setattr(progress, "_notebook_display", lambda: shown.append)
    try:
        with cell_progress() as say:
            say("Working", None)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert shown[-1] == {"text/plain": "", "text/html": ""}


def test_nothing_is_shown_when_nothing_was_said(monkeypatch):
    shown = []
    monkeypatch.setattr(progress, "_notebook_display", lambda: shown.append)
    with cell_progress():
        pass
    assert shown == []


def test_progress_is_silent_when_there_is_no_kernel():
    with cell_progress() as say:
        assert say is silent
