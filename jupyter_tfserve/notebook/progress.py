"""One line that tells a waiting person how far a cell is; it is gone when the cell is done.

In a notebook it is a display that is updated in place. Elsewhere (scripts, tests, plain IPython) nothing is
shown: such output would stay.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from html import escape
from typing import Any, Final, TypeAlias

Say: TypeAlias = Callable[[str, "float | None"], None]
"""`say(text, fraction)`: what is being done, and how much of it is, from 0 to 1 (None: nobody knows)."""

SHORTEST_PAUSE_S: Final = 0.1
BAR_WIDTH_PX: Final = 200


def silent(text: str, fraction: float | None = None) -> None:
    """Says nothing."""


class ProgressLine:
    """A display that `show(bundle)` makes at its first call and changes at the next ones."""

    def __init__(
        self, show: Callable[[dict[str, str]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show = show
        self._clock = clock
        self._last_text = ""
        self._last_time = 0.0
        self._is_shown = False

    def say(self, text: str, fraction: float | None = None) -> None:
        """Shows the text now if it is new; a mere step forward at most ten times a second."""
        now = self._clock()
        if self._is_shown and text == self._last_text and now - self._last_time < SHORTEST_PAUSE_S:
            return
        self._last_text, self._last_time, self._is_shown = text, now, True
        self._show(_bundle(text, fraction))

    def clear(self) -> None:
        """Nothing is left of it."""
        if self._is_shown:
            self._show({"text/plain": "", "text/html": ""})


@contextlib.contextmanager
def cell_progress() -> Iterator[Say]:
    """What says how far this cell is; cleared at the end, however it ends."""
    show = _notebook_display()
    if show is None:
        yield silent
        return
    line = ProgressLine(show)
    try:
        yield line.say
    finally:
        line.clear()


def _notebook_display() -> Callable[[dict[str, str]], None] | None:
    """Shows a bundle in the running cell; None when this is no kernel."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython
    from IPython.display import DisplayHandle

    # Only a kernel has front ends that can change what they show.
    if getattr(get_ipython(), "kernel", None) is None:
        return None
    handle: Any = DisplayHandle()
    is_first = True

    def show(bundle: dict[str, str]) -> None:
        nonlocal is_first
        (handle.display if is_first else handle.update)(bundle, raw=True)
        is_first = False

    return show


def _bundle(text: str, fraction: float | None) -> dict[str, str]:
    if fraction is None:
        return {"text/plain": f"{text} …", "text/html": f"<em>{escape(text)} …</em>"}
    share = min(max(fraction, 0.0), 1.0)
    bar = f"<progress max='1' value='{share:.3f}' style='width:{BAR_WIDTH_PX}px'></progress>"
    return {
        "text/plain": f"{text} … {share:.0%}",
        "text/html": f"<em>{escape(text)}</em> {bar} {share:.0%}",
    }
