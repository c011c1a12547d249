"""The panels that follow an engine in this kernel: one for each cell that shows it, and not too many.

A kernel is not told when a cell's output is cleared: without this, running a cell again would leave a thread
behind each time.
"""

from __future__ import annotations

import threading
from typing import Final, Protocol

MAX_OPEN: Final = 8


class Stoppable(Protocol):
    """A panel, as far as this module knows it."""

    def stop(self) -> None:
        """It follows no longer."""


class OpenPanels:
    """The open panels, the oldest first. Safe from any thread."""

    def __init__(self, max_open: int = MAX_OPEN) -> None:
        self._max_open = max_open
        self._lock = threading.Lock()
        self._open: list[tuple[Stoppable, tuple[str, str] | None]] = []

    def add(self, panel: Stoppable, execution: tuple[str, str] | None) -> None:
        """`panel` is shown by `execution`, a cell and a run of it. Stops those of earlier runs, and the oldest."""
        with self._lock:
            old = [item for item in self._open if _is_replaced(item[1], execution)]
            kept = [item for item in self._open if item not in old]
            excess = max(len(kept) + 1 - self._max_open, 0)
            old += kept[:excess]
            self._open = [*kept[excess:], (panel, execution)]
        for stale, _ in old:
            stale.stop()

    def discard(self, panel: Stoppable) -> None:
        """`panel` is open no longer."""
        with self._lock:
            self._open = [item for item in self._open if item[0] is not panel]


def _is_replaced(before: tuple[str, str] | None, now: tuple[str, str] | None) -> bool:
    """Whether the same cell has been run again. Without a cell's name nobody knows."""
    return before is not None and now is not None and before[0] == now[0] != "" and before[1] != now[1]


OPEN_PANELS: Final = OpenPanels()
"""Those of this process."""
