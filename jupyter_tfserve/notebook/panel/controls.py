"""The panel's widgets: made once, then set to what a `View` says. The only module here that knows ipywidgets.

Every input has a description, which ipywidgets ties to it as its label; Tab goes through them in the order below.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import ipywidgets

from jupyter_tfserve.notebook.panel.page import (
    ROOT_CLASS,
    STYLE,
    heading_html,
    history_html,
    log_html,
    plan_html,
    plots_html,
    policy_html,
    problem_html,
    silence_html,
    table_html,
)
from jupyter_tfserve.notebook.panel.plans import Plan
from jupyter_tfserve.notebook.panel.snapshot import Snapshot
from jupyter_tfserve.notebook.panel.view import KINDS, NEW_LABEL, Choice, View

_WRAP: Final = "row wrap"


class Controls:
    """The widgets of one panel. Attributes are those that somebody listens to or sets."""

    def __init__(self) -> None:
        self.models = _list("Model")
        self.labels = _list("Label")
        self.new_label = _text("Name", "production")
        self.targets = _list("names version")
        self.versions = _list("Version")
        self.kinds = _list("Serve")
        self.kinds.options = KINDS
        self.numbers = _text("Numbers", "1 2")
        self.apply = _button("Apply", "primary")
        self.undo = _button("Undo")
        self.load = _button("Load")
        self.unload = _button("Unload")
        self.set_policy = _button("Set")
        self.rollback = _button("Roll back")
        self.log_toggle = _toggle("Log", "Show the server's log")
        self.history_toggle = _toggle("History", "Show what happened")
        self.close = _button("Close")
        self.outcome = ipywidgets.HTML()
        self._html = {
            name: ipywidgets.HTML()
            for name in (
                "heading",
                "silence",
                "problem",
                "table",
                "plots",
                "label",
                "version",
                "policy",
                "log",
                "history",
            )
        }
        self.root = ipywidgets.VBox(list(self._sections()))
        self.root.add_class(ROOT_CLASS)

    def show(
        self, view: View, snapshot: Snapshot, outcome: str, is_held: bool, is_followed: bool = True
    ) -> None:
        """Everything as it is now. `is_held`: no control may be used, since something is under way; `is_followed`:
        there will be newer ones.
        """
        html = {
            "heading": heading_html(view, snapshot),
            "silence": silence_html(snapshot.time) if is_followed else "",
            "problem": problem_html(snapshot.problem),
            "table": table_html(view.model, view.rows),
            "plots": plots_html(view, snapshot),
            "label": plan_html(view.apply),
            "version": plan_html(view.load, view.unload),
            "policy": policy_html(view.set_policy, view.rollback),
            "log": log_html(snapshot.log),
            "history": history_html(snapshot.events, view.models.value),
        }
        for name, text in html.items():
            self._html[name].value = text
        self.outcome.value = outcome
        self._show_choices(view)
        self._show_state(view, is_held or snapshot.problem is not None)

    def dispose(self) -> None:
        """Nothing is left of it, here and in the front ends."""
        for widget in _tree(self.root):
            widget.close()

    def _show_choices(self, view: View) -> None:
        _offer(self.models, view.models)
        _offer(self.labels, view.labels)
        _offer(self.targets, view.targets)
        _offer(self.versions, view.versions)
        self.kinds.value = view.kind
        self.numbers.value = view.numbers
        _reveal(self.models, len(view.models.options) > 1)
        _reveal(self.new_label, view.labels.value == NEW_LABEL)
        _reveal(self.numbers, view.kind != "all")
        _reveal(self._html["log"], self.log_toggle.value)
        _reveal(self._html["history"], self.history_toggle.value)

    def _show_state(self, view: View, is_held: bool) -> None:
        plans = (
            (self.apply, view.apply),
            (self.undo, view.undo),
            (self.load, view.load),
            (self.unload, view.unload),
            (self.set_policy, view.set_policy),
            (self.rollback, view.rollback),
        )
        for button, plan in plans:
            button.disabled = is_held or not plan.is_possible
            button.tooltip = _tooltip(plan)
        for field in (self.labels, self.new_label, self.targets, self.versions, self.kinds, self.numbers):
            field.disabled = is_held

    def _sections(self) -> Iterable[Any]:
        yield ipywidgets.HTML(f"<style>{STYLE}</style>")
        yield _row(self._html["heading"], self.models)
        yield self._html["silence"]
        yield self._html["problem"]
        yield self._html["table"]
        yield self._html["plots"]
        yield _row(self.labels, self.new_label, self.targets, self.apply, self.undo)
        yield self._html["label"]
        yield _row(self.versions, self.load, self.unload)
        yield self._html["version"]
        yield _row(self.kinds, self.numbers, self.set_policy, self.rollback)
        yield self._html["policy"]
        yield self.outcome
        yield _row(self.log_toggle, self.history_toggle, self.close)
        yield self._html["log"]
        yield self._html["history"]


def _tree(widget: Any) -> Iterable[Any]:
    for child in getattr(widget, "children", ()):
        yield from _tree(child)
    yield widget


def _list(description: str) -> Any:
    return ipywidgets.Dropdown(
        description=description,
        options=(),
        style={"description_width": "initial"},
        layout={"width": "auto", "max_width": "320px"},
    )


def _text(description: str, placeholder: str) -> Any:
    return ipywidgets.Text(
        description=description,
        placeholder=placeholder,
        style={"description_width": "initial"},
        layout={"width": "200px"},
    )


def _button(description: str, style: str = "") -> Any:
    return ipywidgets.Button(description=description, button_style=style, layout={"width": "auto"})


def _toggle(description: str, tooltip: str) -> Any:
    return ipywidgets.ToggleButton(description=description, tooltip=tooltip, layout={"width": "auto"})


def _row(*children: Any) -> Any:
    return ipywidgets.Box(
        children, layout={"display": "flex", "flex_flow": _WRAP, "align_items": "center", "width": "100%"}
    )


def _offer(field: Any, choice: Choice) -> None:
    """The list offers this; unchanged lists are left alone, so that an open one stays open."""
    if field.options != choice.options:
        # One message: the front end never sees the first entry chosen in between.
        with field.hold_sync():
            field.options = choice.options
            field.value = choice.value
    elif field.value != choice.value:
        field.value = choice.value


def _reveal(widget: Any, is_shown: bool) -> None:
    widget.layout.display = "flex" if is_shown else "none"


def _tooltip(plan: Plan) -> str:
    return " ".join(plan.lines) if plan.is_possible else " ".join(filter(None, (plan.refusal, plan.hint)))
