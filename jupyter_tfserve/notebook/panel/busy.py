"""Whether the kernel runs a cell: widgets' clicks wait for its end then, and the panel says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

PATIENCE_S: Final = 1.0
"""Cells that end sooner are not worth a word."""


class CellWatch:
    """Follows the cells of a shell; `shell` is IPython's, or None outside of it."""

    def __init__(self, shell: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._events = getattr(shell, "events", None)
        if self._events is not None:
            self._events.register("pre_run_cell", self._begin)
            self._events.register("post_run_cell", self._end)
        if execution_of(shell) is not None:
            self._begin()

    @property
    def is_busy(self) -> bool:
        """Whether a cell has been running for longer than one waits without asking why."""
        since = self._since
        return since is not None and self._clock() - since > PATIENCE_S

    def close(self) -> None:
        """Follows no longer."""
        events, self._events, self._since = self._events, None, None
        if events is not None:
            events.unregister("pre_run_cell", self._begin)
            events.unregister("post_run_cell", self._end)

    def _begin(self, info: object = None) -> None:
        self._since = self._clock()

    def _end(self, result: object = None) -> None:
        self._since = None


def current_shell() -> Any:
    """IPython's shell if it belongs to a kernel, which can show widgets; else None."""
    from IPython import get_ipython

    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


def execution_of(shell: Any) -> tuple[str, str] | None:
    """The cell that runs now and this run of it, as the front end calls them; None when no cell runs."""
    get_parent = getattr(shell, "get_parent", None)
    if get_parent is None:
        return None
    parent = get_parent()
    header = parent.get("header", {})
    if header.get("msg_type") != "execute_request":
        return None
    return str(parent.get("metadata", {}).get("cellId", "")), str(header.get("msg_id", ""))
