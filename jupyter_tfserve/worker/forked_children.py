"""What a process that is forked from this one must not keep: the descriptors by which an owner holds its engine.

A kernel that uses multiprocessing's "fork" copies all that it has open. The copies would keep ports taken and folders
locked after the owner has let go of them, and an engine alive after its owner was killed. A Jupyter server imports this.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Final, Protocol, TypeVar


class Closable(Protocol):
    """What has a descriptor; closing it does nothing to anybody who holds a copy."""

    def close(self) -> None:
        """Lets go of it."""


_Held = TypeVar("_Held", bound=Closable)
_OURS: Final[weakref.WeakSet[Closable]] = weakref.WeakSet()


def not_for_children(held: _Held) -> _Held:
    """`held` itself, which is closed at once in every process that is forked from this one. Keeps no reference."""
    _OURS.add(held)
    return held


def _close_all() -> None:
    for held in list(_OURS):
        with contextlib.suppress(OSError):
            held.close()
    _OURS.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing is forked
    os.register_at_fork(after_in_child=_close_all)
