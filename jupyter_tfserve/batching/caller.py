"""Whose request this is, so that callers of one model take turns in its queue.

Set by the protocol for the task that serves the request; equal values are one caller, None is everybody who is
not told apart. A context variable, since nothing between the protocol and the queue has a use for it.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextvars import ContextVar
from typing import Final

CALLER: Final[ContextVar[Hashable]] = ContextVar("caller", default=None)
