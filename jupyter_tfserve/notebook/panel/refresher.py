"""The thread that keeps a panel up to date: once a period, and at once when it is asked to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Final

log = logging.getLogger(__name__)

PERIOD_S: Final = 1.0


def thread_of_cell(target: Callable[[], None], name: str, context: Context | None = None) -> threading.Thread:
    """A thread that speaks to the front end as the cell (or `context`) does in which this is called.

    ipykernel sends a widget's clicks to where the widget last spoke from. For a thread without a context that is
    whoever asked the kernel last, which after a reload of the page is a subshell that has gone: clicks are lost.
    """
    run = (copy_context() if context is None else context.copy()).run
    # A daemon: a kernel that ends does not wait for its panels.
    return threading.Thread(target=run, args=(target,), name=name, daemon=True)


class Refresher:
    """Calls `refresh` until it is stopped. A kernel's busy main thread does not hold it up.

    `refresh` never runs twice at once. What it raises ends nothing: the next call may do better. It is logged
    once, since a kernel shows its log in the notebook.
    """

    def __init__(self, refresh: Callable[[], None], period_s: float = PERIOD_S) -> None:
        self._refresh = refresh
        self._period_s = period_s
        self._wake = threading.Event()
        self._is_stopped = False
        self._level = logging.WARNING
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._thread is not None and not self._is_stopped

    def start(self) -> None:
        """Begins; doing it twice changes nothing."""
        if self._thread is None and not self._is_stopped:
            self._thread = thread_of_cell(self._run, "tfserve-panel")
            self._thread.start()

    def poke(self) -> None:
        """Refreshes now instead of at the end of the period."""
        self._wake.set()

    def stop(self) -> None:
        """No call begins from now on; one that has begun may still end."""
        self._is_stopped = True
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended within `timeout_s`."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        while not self._is_stopped:
            self._wake.clear()
            try:
                self._refresh()
            except Exception:
                log.log(self._level, "the panel could not be refreshed", exc_info=True)
                self._level = logging.DEBUG
            self._wake.wait(self._period_s)
