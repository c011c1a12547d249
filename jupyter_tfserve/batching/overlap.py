"""How a version's lanes take turns: by what was seen of its batches and its callers. Pure: `now` enters.

Side by side suits a model that leaves cores idle, or whose batch is short against its way to the worker. Where one batch
keeps all cores busy (`competition`), the next one leaves when it is back: its rows gather meanwhile, and none computes
half as fast beside another. Where callers come back as soon as they are answered, it may even pay to wait for them a
moment (`gathering`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jupyter_tfserve.batching.competition import Competition, Ended
from jupyter_tfserve.batching.gathering import GatheringTrial

LINGER_SHARE: Final = 0.4
MAX_LINGER_S: Final = 0.03
"""Gathering waits at most so long after a batch, and at most this share of what a batch takes."""
NEARLY_ALL: Final = 0.95
OVERDUE: Final = 3.0
OVERDUE_S: Final = 0.02
"""A batch that takes so many times what is known, and so much longer, may hang: the other lane waits for it no longer.
One that others keep from the processors would only be kept from them more."""


class Turns(enum.Enum):
    """How lanes take turns."""

    SIDE_BY_SIDE = 0
    ONE_AT_A_TIME = 1
    GATHERING = 2


@dataclass(frozen=True, slots=True)
class Running:
    """The batches on lanes: when the last of them ends by what is known, what it takes, the rows of all."""

    ends: float
    seconds: float
    rows: int


class LaneOverlap:
    """One version's lanes, and who asks it: how they take turns now."""

    __slots__ = (
        "_callers_rows",
        "_competition",
        "_gathering",
        "_in_flight",
        "_last_end",
        "_last_s",
        "_may_linger",
        "_present_rows",
        "_since",
        "_splits",
        "is_spread",
        "turns",
    )

    def __init__(
        self, cpu_s: Callable[[], float] = lambda: 0.0, present_rows: Callable[[], int] = lambda: 0
    ) -> None:
        """`cpu_s` is the processor time that the model's process has used so far; it is asked in trials only.
        `present_rows` are those that wait and run now; it is asked about slow batches only."""
        self.turns = Turns.SIDE_BY_SIDE
        """Other ways than this ask `next_at` when a batch may be sent off."""
        self.is_spread = False
        """The lanes need not take turns, since they are of several replicas or as many as were asked for: nothing is
        tried, they run side by side."""
        self._present_rows = present_rows
        self._competition = Competition()
        self._gathering = GatheringTrial(cpu_s)
        self._may_linger = True
        self._splits = False
        self._in_flight = 0
        self._since = self._last_end = self._last_s = 0.0
        self._callers_rows = 0

    def began(self, now: float, oldest: float) -> float:
        """A batch was given to a lane, for somebody who waited since `oldest`; its `Ended.mark`."""
        if not self._in_flight:
            self._since = max(self._since, min(oldest, now))
        self._in_flight += 1
        return self._competition.began(now)

    def ended(self, now: float, batch: Ended) -> None:
        """A batch came back; it runs no more."""
        self._in_flight -= 1
        since, self._since = self._since, now
        self._last_end, self._last_s = now, now - batch.began
        competition = self._competition
        competition.ended(now, batch)
        if competition.is_quick or self.is_spread:
            self.turns = Turns.SIDE_BY_SIDE
            return
        if competition.is_decided and self._may_linger:
            rows = batch.rows
            self._gathering.ended(rows, now - since, rows + self._present_rows())
        else:
            self._gathering.stop()
        base = Turns.SIDE_BY_SIDE if competition.is_side_by_side else Turns.ONE_AT_A_TIME
        self._take(Turns.GATHERING if self._gathering.is_on else base)

    def next_at(self, waiting_rows: int, running: Running | None, full_rows: int, may_linger: bool) -> float:
        """When the next batch may be sent off; a time that has passed is now. So many rows wait, `full_rows` of
        which fill a batch. `running` is what the lanes do, if they do anything.
        """
        self._may_linger = may_linger
        if self.turns is Turns.SIDE_BY_SIDE:
            return 0.0
        callers_rows = waiting_rows + (0 if running is None else running.rows)
        self._callers_rows = max(self._callers_rows, callers_rows)
        if running is not None:
            return running.ends + max((OVERDUE - 1) * running.seconds, OVERDUE_S)
        is_gathering = self.turns is Turns.GATHERING and may_linger
        if not is_gathering or waiting_rows >= min(full_rows, NEARLY_ALL * self._callers_rows):
            return 0.0
        return self._last_end + min(LINGER_SHARE * self._last_s, MAX_LINGER_S)

    def formed(self, callers_rows: int) -> None:
        """A batch is formed while so many rows waited or ran: those who did not come back are waited for no more."""
        self._callers_rows = callers_rows

    def most_rows(self, waiting_rows: int, free_lanes: int) -> int:
        """The next batch's, if not all that wait may go at once; 0: they may.

        Callers that were gathered would stay together: a half of them goes first. Lanes that do not compete share
        what waits.
        """
        if self._splits:
            self._splits = False
            return -(-waiting_rows // 2)
        if free_lanes > 1 and self.turns is Turns.SIDE_BY_SIDE and self._competition.is_independent:
            return -(-waiting_rows // free_lanes)
        return 0

    def _take(self, turns: Turns) -> None:
        if self.turns is not turns:
            self._splits = self.turns is Turns.GATHERING
            self.turns = turns
