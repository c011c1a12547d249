"""How often a peer may do what costs it little and us something: resets, pings, frames that bring nothing. Pure."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic


class Allowance:
    """So many at once, and so many a second in the long run. Looks at the clock only when it is used up."""

    __slots__ = ("_burst", "_clock", "_left", "_per_s", "_since")

    def __init__(self, burst: int, per_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._burst = burst
        self._per_s = per_s
        self._clock = clock
        self._left = burst
        self._since = clock()

    def spend(self) -> bool:
        """Takes one; False if there is none."""
        if self._left <= 0:
            now = self._clock()
            self._left = min(self._burst, int((now - self._since) * self._per_s))
            if self._left <= 0:
                return False
            self._since = now
        self._left -= 1
        return True

    def overdraw(self) -> bool:
        """Takes one even if there is none; whether there was none."""
        self._left -= 1
        return self._left < 0 and self.overdrawn_s() > 0

    def overdrawn_s(self) -> float:
        """In how many seconds what was overdrawn is there again."""
        if self._left < 0:
            earned = int((self._clock() - self._since) * self._per_s)
            self._left = min(self._burst, self._left + earned)
            self._since += earned / self._per_s
        return max(0, -self._left) / self._per_s
