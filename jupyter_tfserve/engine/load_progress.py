"""What people see while they wait for a version: since when it loads or unloads, and why an earlier attempt failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from jupyter_tfserve.lifecycle.states import CONCLUDED_STATES, LifecycleState
from jupyter_tfserve.types import ServableId


@dataclass(frozen=True, slots=True)
class _Change:
    since: float
    error: str = ""


class LoadProgress:
    """Of the versions that are on their way, and of no others. A listener of the manager's, on its loop."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._changes: dict[ServableId, _Change] = {}

    def follow(
        self, servable: ServableId, before: LifecycleState | None, after: LifecycleState, message: str
    ) -> None:
        """Notes a step; a message without one is an attempt to load that failed and will be made again."""
        if after in CONCLUDED_STATES:
            self._changes.pop(servable, None)
        elif before is after and servable in self._changes:
            self._changes[servable] = replace(self._changes[servable], error=message)
        else:
            self._changes[servable] = _Change(self._clock())

    def document(self, servable: ServableId) -> dict[str, Any]:
        """Two fields of the version in the state document."""
        change = self._changes.get(servable)
        if change is None:
            return {"changing_since": None, "last_error": None}
        return {"changing_since": change.since, "last_error": change.error or None}
