"""Whether it pays to wait for the callers that have just been answered, so that all of them share one batch. Pure.

Where a batch costs nearly the same whatever its rows, two groups of callers that take turns pay that cost twice. Only
a trial tells whether the waiting costs less, and it is made only of callers who come back: a closed loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

PHASE_BATCHES: Final = 12
SETTLING_BATCHES: Final = 3
"""The first of a phase do not count: they are formed of what the phase before has left."""
PHASES: Final = 4
"""A trial's phases: each way twice, by turns."""
FIRST_HOLD_BATCHES: Final = 128
MAX_HOLD_BATCHES: Final = 2048
"""How long a decision holds until the next trial: longer each time, since what was measured before counts half."""
CLEARLY: Final = 1.05
"""The way that is not taken yet must be so much faster."""
ALIKE: Final = 1.1
"""Of ways that are as fast as that, the one that costs the processors clearly less leaves more for others."""
MEASURABLE_CPU_S: Final = 0.1
STALLED_BATCHES: Final = 2
STALLED_TIMES: Final = 1.5
"""So many of a phase count at most so many times what the longest of the others took: the machine did something else."""
STEADY_BATCHES: Final = 12
NEARLY_ALL: Final = 0.9
MOSTLY: Final = 0.75
"""Callers come back if, at the ends of so many of the last batches, nearly all that ever were are there."""


@dataclass(slots=True)
class _Score:
    rows: int = 0
    busy_s: float = 0.0
    cpu_s: float = 0.0

    def add(self, batches: list[tuple[int, float]]) -> None:
        """A phase's batches as (rows, busy seconds)."""
        longest_s = STALLED_TIMES * sorted(busy_s for _, busy_s in batches)[-1 - STALLED_BATCHES]
        self.rows += sum(rows for rows, _ in batches)
        self.busy_s += sum(min(busy_s, longest_s) for _, busy_s in batches)

    def halve(self) -> None:
        """What is known counts half of what comes."""
        self.rows //= 2
        self.busy_s /= 2
        self.cpu_s /= 2

    @property
    def rate(self) -> float:
        """Rows per second in which a batch ran, or somebody waited for one."""
        return self.rows / self.busy_s if self.busy_s > 0 else 0.0

    def is_cheaper(self, other: _Score) -> bool:
        """Whether its rows cost clearly less processor time."""
        if min(self.cpu_s, other.cpu_s) < MEASURABLE_CPU_S:
            return False
        return self.rows / self.cpu_s > ALIKE * other.rows / other.cpu_s


class GatheringTrial:
    """One version's batches, with and without. `cpu_s` is the processor time that the model's process has used so
    far; it is asked in trials only."""

    __slots__ = (
        "_batches",
        "_counted",
        "_cpu_mark",
        "_cpu_s",
        "_hold",
        "_phase",
        "_scores",
        "_seen",
        "_taken",
        "is_on",
    )

    def __init__(self, cpu_s: Callable[[], float]) -> None:
        self._cpu_s = cpu_s
        self._cpu_mark = 0.0
        self.is_on = False
        """Whether callers are waited for now."""
        self._taken = False
        self._hold = PHASE_BATCHES
        self._phase = -1
        self._batches = 0
        self._counted: list[tuple[int, float]] = []
        self._scores = (_Score(), _Score())
        self._seen: deque[int] = deque(maxlen=STEADY_BATCHES)

    def ended(self, rows: int, busy_s: float, present_rows: int) -> None:
        """A batch of so many rows came back; in `busy_s` since the last one somebody was served or waited.

        `present_rows` are those of all callers that are waiting, running or just answered.
        """
        self._seen.append(present_rows)
        self._batches += 1
        if self._phase < 0:
            if self.is_on and not self._are_steady():
                self._forget()
            elif self._batches >= self._hold:
                self._begin()
            return
        if self._batches > SETTLING_BATCHES:
            self._counted.append((rows, busy_s))
        elif self._batches == SETTLING_BATCHES:
            self._cpu_mark = self._cpu_s()
        if self._batches >= PHASE_BATCHES:
            self._next_phase()

    def stop(self) -> None:
        """Nobody is waited for; what comes is seen afresh."""
        self._forget()

    def _are_steady(self) -> bool:
        most = max(self._seen)
        present = sum(rows >= NEARLY_ALL * most for rows in self._seen)
        return most > 1 and len(self._seen) == STEADY_BATCHES and present >= MOSTLY * STEADY_BATCHES

    def _begin(self) -> None:
        self._batches = 0
        if not self._are_steady():
            # Asked again soon: it costs nothing.
            self._hold = PHASE_BATCHES
            return
        for score in self._scores:
            score.halve()
        self._phase = 0
        # The way that is not taken first: the other was seen until now.
        self.is_on = not self._taken

    def _next_phase(self) -> None:
        score = self._scores[self.is_on]
        score.add(self._counted)
        score.cpu_s += self._cpu_s() - self._cpu_mark
        self._counted = []
        self._batches = 0
        self._phase += 1
        if self._phase < PHASES and self._are_steady():
            self.is_on = not self.is_on
            return
        if self._phase == PHASES:
            self._decide()
        self._phase = -1
        self.is_on = self._taken
        self._hold = min(max(2 * self._hold, FIRST_HOLD_BATCHES), MAX_HOLD_BATCHES)

    def _decide(self) -> None:
        """The other way must be clearly faster, or as fast and clearly cheaper: callers that were gathered come
        together for a while although nobody waits for them any more, so that both ways look alike."""
        now, other = self._scores[self._taken], self._scores[not self._taken]
        is_cheaper = ALIKE * other.rate >= now.rate and other.is_cheaper(now)
        is_dearer = ALIKE * now.rate >= other.rate and now.is_cheaper(other)
        if is_cheaper or (other.rate > CLEARLY * now.rate and not is_dearer):
            self._taken = not self._taken

    def _forget(self) -> None:
        self.is_on = self._taken = False
        self._phase, self._batches, self._hold = -1, 0, PHASE_BATCHES
        self._counted = []
        self._seen.clear()
        self._scores = (_Score(), _Score())
