"""How many gRPC calls may be under way at once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

MAX_STREAMS_A_CONNECTION: Final = 100
_STREAMS_SHARE: Final = 4


@dataclass(slots=True)
class Places:
    """How many calls of a kind may be under way, and how many are."""

    limit: int
    taken: int = 0

    def take(self, connection: Hashable) -> bool:
        """Whether there was a place; it is taken then."""
        if self.taken >= self.limit:
            return False
        self.taken += 1
        return True

    def leave(self, connection: Hashable) -> None:
        """One is free again."""
        self.taken -= 1


class StreamPlaces(Places):
    """Those of streaming calls, a quarter of all and some of each connection: a stream may last for ever."""

    __slots__ = ("_taken_by",)

    def __init__(self, limit: int) -> None:
        Places.__init__(self, max(1, limit // _STREAMS_SHARE))
        self._taken_by: Counter[Hashable] = Counter()

    def take(self, connection: Hashable) -> bool:
        """As Places'."""
        # `get`: to ask must not leave an entry behind.
        if self._taken_by.get(connection, 0) >= MAX_STREAMS_A_CONNECTION or not Places.take(self, connection):
            return False
        self._taken_by[connection] += 1
        return True

    def leave(self, connection: Hashable) -> None:
        """As Places'."""
        Places.leave(self, connection)
        self._taken_by[connection] -= 1
        if not self._taken_by[connection]:
            del self._taken_by[connection]
