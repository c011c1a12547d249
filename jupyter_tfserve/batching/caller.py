"""Whose request this is, so that callers of one model take turns in its queue.

Set by the doors for the task that serves the request: a key's id, a gRPC connection, the host of a REST caller. Equal
values are one caller; None is whoever asks over REST from this machine, each of whose connections has one request at a
time; a request of theirs that runs in pieces is a caller of its own. A context variable, since nothing between the
protocol and the queue has a use for it.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextvars import ContextVar
from typing import Final

QUEUE_CALLER: Final[ContextVar[Hashable]] = ContextVar("QUEUE_CALLER", default=None)
