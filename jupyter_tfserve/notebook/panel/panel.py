"""One panel: what the person chose, what is known of the engine, and the two brought together once a second.

The engine's state is the only truth: nothing is shown that was not just read from it, so panels, sidebar and
magics agree. Two threads meet here, the kernel's main one with clicks and the refresher's; a lock keeps them apart.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from dataclasses import replace
from typing import Any, Final, TypeAlias

from IPython.core.display_functions import publish_display_data

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.discovery import Engine
from jupyter_tfserve.notebook.handle import ServerHandle
from jupyter_tfserve.notebook.panel import actions
from jupyter_tfserve.notebook.panel.busy import CellWatch, current_shell, execution_of
from jupyter_tfserve.notebook.panel.controls import Controls
from jupyter_tfserve.notebook.panel.open_panels import OPEN_PANELS
from jupyter_tfserve.notebook.panel.page import note_html
from jupyter_tfserve.notebook.panel.plans import LabelMove, Plan, read_policy
from jupyter_tfserve.notebook.panel.refresher import Refresher, thread_of_cell
from jupyter_tfserve.notebook.panel.snapshot import Snapshot
from jupyter_tfserve.notebook.panel.view import Choices, View, chosen, view_of
from jupyter_tfserve.notebook.panel.watch import EngineWatch
from jupyter_tfserve.notebook.progress import Say

Job: TypeAlias = "Callable[[ServerHandle, Say], str]"

BUSY: Final = "A cell is running: the kernel takes no clicks until it ends. The sidebar acts at once."
KERNEL_NOTE: Final = (
    "The panel ends with its kernel: after a restart run the cell again. The sidebar needs no kernel."
)
CLOSED: Final = (
    "This panel follows no longer, since newer ones were opened. Run its cell again for a new one."
)


class Panel:
    """A model's versions, labels and traffic, live, with controls. Shown by being a cell's last value.

    `describe` gives the text and the HTML for front ends without widgets. Following begins when it is shown.
    """

    def __init__(
        self,
        engine: Engine,
        find: Callable[[], Engine | None],
        describe: Callable[[], Mapping[str, Any]],
        model: str | None = None,
    ) -> None:
        self._watch = EngineWatch(engine, find)
        self._server = ServerHandle(engine)
        self._server_engine = engine
        self._describe = describe
        self._lock = threading.RLock()
        self._choices = Choices(model)
        self._snapshot = Snapshot()
        self._view = View()
        self._last_move: LabelMove | None = None
        self._outcome = ""
        self._is_acting = False
        self._has_acted = False
        self._is_filling = False
        self._is_ended = False
        self._cells: CellWatch | None = None
        self._refresher = Refresher(self.refresh)
        self._context: Context | None = None
        self._controls = Controls()
        self._listen()

    @property
    def widget(self) -> Any:
        """The panel as an ipywidget, to be part of other ones. Call `start` when it is shown."""
        return self._controls.root

    @property
    def is_following(self) -> bool:
        """Whether it asks the engine once a second."""
        return self._refresher.is_running

    def start(self) -> None:
        """Begins to follow the engine; shown in a cell it does so by itself."""
        if self._cells is None:
            shell = current_shell()
            self._context = copy_context()
            self._cells = CellWatch(shell)
            OPEN_PANELS.add(self, execution_of(shell))
            self._refresher.start()

    def stop(self) -> None:
        """Asks the engine no more; what is shown stays, and says that it is old."""
        self._end()
        with self._lock:
            self._outcome = note_html("failed", CLOSED)
            self._show()

    def close(self) -> None:
        """The panel is gone from the page."""
        self._end()
        with self._lock:
            self._controls.dispose()

    def refresh(self) -> None:
        """Shows the engine as it is now."""
        has_acted = self._has_acted
        snapshot = self._watch.look(wants_log=self._controls.log_toggle.value)
        with self._lock:
            if not self._is_ended:
                self._snapshot = snapshot
                if has_acted:
                    self._is_acting = self._has_acted = False
                self._show()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        described = self._describe()
        bundle = {kind: described[kind] for kind in ("text/plain", "text/html") if kind in described}
        if current_shell() is None:
            return bundle
        self.start()
        # An output of its own: where the kernel has gone, a front end shows a dead widget and nothing beside it.
        publish_display_data({"text/plain": KERNEL_NOTE, "text/html": f"<small>{KERNEL_NOTE}</small>"})
        return {**bundle, **self._controls.root._repr_mimebundle_(), "text/plain": bundle["text/plain"]}

    def _end(self) -> None:
        self._refresher.stop()
        OPEN_PANELS.discard(self)
        with self._lock:
            self._is_ended = True
            if self._cells is not None:
                self._cells.close()

    def _show(self) -> None:
        """Brings the widgets up to date. REQUIRES: the lock."""
        is_busy = self._cells is not None and self._cells.is_busy
        self._view = view_of(self._snapshot, self._choices, self._last_move)
        self._is_filling = True
        try:
            outcome = (note_html("plan", BUSY) if is_busy else "") + self._outcome
            is_held = is_busy or self._is_acting or self._is_ended
            self._controls.show(self._view, self._snapshot, outcome, is_held, not self._is_ended)
        finally:
            self._is_filling = False

    def _listen(self) -> None:
        controls = self._controls
        fields = {
            "model": controls.models,
            "label": controls.labels,
            "new_label": controls.new_label,
            "target": controls.targets,
            "version": controls.versions,
            "kind": controls.kinds,
            "numbers": controls.numbers,
        }
        for name, field in fields.items():
            field.observe(self._chooser(name), "value")
        for toggle in (controls.log_toggle, controls.history_toggle):
            toggle.observe(lambda change: self._refresher.poke(), "value")
        controls.apply.on_click(lambda button: self._apply())
        controls.undo.on_click(lambda button: self._undo())
        controls.load.on_click(lambda button: self._change_version(actions.load_version, self._view.load))
        controls.unload.on_click(
            lambda button: self._change_version(actions.unload_version, self._view.unload)
        )
        controls.set_policy.on_click(lambda button: self._set_policy())
        controls.rollback.on_click(lambda button: self._roll_back())
        controls.close.on_click(lambda button: self.close())

    def _chooser(self, name: str) -> Callable[[Any], None]:
        def choose(change: Any) -> None:
            with self._lock:
                if self._is_filling:
                    return
                self._choices = chosen(self._choices, name, change["new"])
                if name == "model" and not self._is_acting:
                    self._outcome = ""
                self._show()

        return choose

    def _apply(self) -> None:
        move = self._view.move
        if move is not None and self._view.apply.is_possible:
            self._act(
                f"{move} …", lambda server, say: actions.move_label(server, move), lambda: self._moved(move)
            )

    def _moved(self, move: LabelMove) -> None:
        self._last_move = move
        # The list has the label from now on, if it is not taken away.
        label = None if move.version is None else move.label
        self._choices = replace(self._choices, label=label, new_label="", target=None)

    def _undo(self) -> None:
        if self._last_move is not None and self._view.undo.is_possible:
            move = self._last_move.undone()
            self._act(f"{move} …", lambda server, say: actions.move_label(server, move), self._undone)

    def _undone(self) -> None:
        self._last_move = None

    def _change_version(self, action: Callable[[ServerHandle, str, int, Say], str], plan: Plan) -> None:
        model, version = self._view.model, self._view.version
        if model is not None and version is not None and plan.is_possible:
            self._act(
                plan.lines[0], lambda server, say: action(server, model.name, version, say), lambda: None
            )

    def _set_policy(self) -> None:
        view = self._view
        if view.model is not None and view.set_policy.is_possible:
            name, policy = view.model.name, read_policy(view.kind, view.numbers)
            self._act(
                "Setting the versions …",
                lambda server, say: actions.choose_versions(server, name, policy, say),
                self._follow_policy,
            )

    def _follow_policy(self) -> None:
        self._choices = replace(self._choices, kind=None, numbers=None)

    def _roll_back(self) -> None:
        model = self._view.model
        if model is not None and self._view.rollback.is_possible:
            self._act(
                "Rolling back …", lambda server, say: actions.roll_back(server, model.name, say), lambda: None
            )

    def _act(self, text: str, job: Job, on_done: Callable[[], None]) -> None:
        """Does `job` in a thread of its own, one at a time, so that a load that takes minutes holds up no cell."""
        with self._lock:
            if self._is_acting or self._is_ended:
                return
            self._is_acting = True
            self._say(text)
        carry_out = functools.partial(self._carry_out, job, on_done)
        thread_of_cell(carry_out, "tfserve-panel-action", self._context).start()

    def _carry_out(self, job: Job, on_done: Callable[[], None]) -> None:
        try:
            text, hint, kind = job(self._server_now(), self._say), "", "done"
        except ServingError as error:
            text, hint, kind = error.message, error.hint or "", "failed"
        except OSError as error:
            text, hint, kind = (
                f"{error.strerror or error}.",
                "`%tfserve doctor` looks for the reason.",
                "failed",
            )
        with self._lock:
            # The controls come back with what the engine says after this, not before.
            self._has_acted = True
            self._outcome = note_html(kind, text, hint)
            if kind == "done":
                on_done()
        self._refresher.poke()

    def _server_now(self) -> ServerHandle:
        """The engine that the panel shows, over connections that the refresher does not use."""
        if self._server_engine is not self._watch.engine:
            self._server_engine = self._watch.engine
            self._server = ServerHandle(self._server_engine)
        return self._server

    def _say(self, text: str, fraction: float | None = None) -> None:
        with self._lock:
            if not self._is_ended:
                self._outcome = note_html("plan", text)
                self._show()
