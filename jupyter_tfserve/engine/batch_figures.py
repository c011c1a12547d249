"""How versions batch, for who looks: the rows of a batch in the last minute, the most it may have, what waits."""

from __future__ import annotations

from collections import deque
from typing import Any
from weakref import WeakKeyDictionary

from jupyter_tfserve.dataplane.traffic import WINDOW_S
from jupyter_tfserve.engine.version_runtime import VersionRuntime


class BatchFigures:
    """Of the versions that serve. Off the request path: the scheduler counts anyway, and is looked at once a second."""

    def __init__(self) -> None:
        self._marks: WeakKeyDictionary[VersionRuntime, deque[tuple[int, int]]] = WeakKeyDictionary()

    def turn(self, version: VersionRuntime) -> None:
        """Ends the version's current second."""
        counts = version.statistics()
        marks = self._marks.setdefault(version, deque(maxlen=WINDOW_S))
        marks.append((counts.batches, counts.rows))

    def document(self, version: VersionRuntime) -> dict[str, Any]:
        """The fields of the version's figures."""
        counts = version.statistics()
        marks = self._marks.get(version)
        batches, rows = marks[0] if marks else (counts.batches, counts.rows)
        ran = counts.batches - batches
        return {
            "rows_per_batch": round((counts.rows - rows) / ran, 2) if ran else None,
            "batch_rows": _most_rows(version),
            "waiting": counts.waiting_tasks,
        }


def _most_rows(version: VersionRuntime) -> int | None:
    """What a batch may have now, of the signature with the largest ones; None while nothing is known."""
    options = version.batching
    if not options.enabled:
        return None
    if options.strict:
        return options.max_batch_size
    return max((each.batch_rows for each in version.learned_batching().values()), default=None)
