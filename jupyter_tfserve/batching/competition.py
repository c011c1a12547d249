"""Whether batches that run at once take each other's time, and so whether lanes run side by side. Pure: `now` enters.

Where one batch keeps all processors busy, two only share them: both come late, and each has half of the rows. Its
worker sees that of one that runs alone. Where the processors are not what is short (a GPU, a lock), it shows in what a
batch takes beside another, compared with what its size takes alone. A trial of both ways under load tells neither as
soon, nor as surely on a machine that does other things too.
"""

from __future__ import annotations

from typing import Final, Protocol

from jupyter_tfserve.batching.cost import CostCurve

QUICK_S: Final = 1e-3
"""Batches that are usually shorter are side by side, unasked: their way to the worker takes as long as their run."""
SMOOTHING: Final = 1 / 8
ALONE_BATCHES: Final = 8
"""So many are run one at a time to know what they take alone; then batches run side by side."""
SEEN_TOGETHER: Final = 6
"""So many that had company decide."""
TRIED_BATCHES: Final = 48
"""Where so few meet that these do not, it does not matter, and what was known stays."""
FIRST_HOLD_BATCHES: Final = 1024
MAX_HOLD_BATCHES: Final = 16_384
"""After so many batches the question is asked again: each time later."""
IN_COMPANY: Final = 1.5
ALONE: Final = 1.25
"""Batches in flight on average while one ran: from then on it had company, up to then it had none to speak of."""
KNOWN_SIZES: Final = 1.5
"""What is known of sizes alone is believed for sizes up to this many times the largest."""
SATURATING: Final = 0.67
"""A batch that keeps such a share of the processors busy by itself leaves too little for a second one: less than half of
what that needs."""
INDEPENDENT: Final = 0.5
"""What company adds to the work done at once: 0 where batches compete for everything, 1 where for nothing."""


class Ended(Protocol):
    """A batch that came back; what it is made of is asked for only where that counts."""

    @property
    def signature(self) -> str:
        """Whose it is."""

    @property
    def rows(self) -> int:
        """How many it has; 0 where it cannot be counted."""

    @property
    def began(self) -> float:
        """When it was given to a lane."""

    @property
    def busy_share(self) -> float:
        """The share of the processors that its process kept busy meanwhile; 0 if that is not known."""

    @property
    def mark(self) -> float:
        """What `Competition.began` said then."""


class Competition:
    """One version's batches. Begins with one at a time."""

    __slots__ = (
        "_alone",
        "_area",
        "_batches",
        "_changed",
        "_gain",
        "_hold",
        "_in_flight",
        "_known",
        "_met",
        "_saturating",
        "_usual_s",
        "is_quick",
        "is_side_by_side",
    )

    def __init__(self) -> None:
        self.is_quick = True
        """Whether batches are too short for any of this."""
        self.is_side_by_side = True
        """Whether a free lane takes a batch while another one runs."""
        self._known: bool | None = None
        self._usual_s = 0.0
        self._hold = FIRST_HOLD_BATCHES
        self._batches = self._met = self._in_flight = self._saturating = 0
        self._gain = self._area = self._changed = 0.0
        self._alone: dict[str, CostCurve] = {}

    @property
    def is_decided(self) -> bool:
        """Whether the answer is known and nothing is tried at the moment."""
        return self._known is not None and self.is_side_by_side is self._known

    @property
    def is_independent(self) -> bool:
        """Whether batches that are worth it are known to run side by side as fast as alone."""
        return self._known is True and not self.is_quick

    def began(self, now: float) -> float:
        """A batch was given to a lane; its `Ended.mark`."""
        self._area += self._in_flight * (now - self._changed)
        self._changed = now
        self._in_flight += 1
        return self._area

    def ended(self, now: float, batch: Ended) -> None:
        """A batch came back."""
        seconds = now - batch.began
        self._area += self._in_flight * (now - self._changed)
        self._changed = now
        self._in_flight -= 1
        usual_s = self._usual_s
        self._usual_s = usual_s = usual_s + (seconds - usual_s) * SMOOTHING if usual_s else seconds
        self.is_quick = usual_s < QUICK_S
        if self.is_quick:
            self.is_side_by_side = True
            return
        if seconds > 0:
            self._learn((self._area - batch.mark) / seconds, seconds, batch)
        self._batches += 1
        if self._known is not None and self._batches < self._hold:
            # Here too after a quick spell.
            self.is_side_by_side = self._known
        elif self._batches < self._tried_from:
            self.is_side_by_side = False
        elif self._saturating > 0:
            self._decide(False)
        elif self._met < SEEN_TOGETHER and self._batches < self._tried_from + TRIED_BATCHES:
            self.is_side_by_side = True
        elif self._met < SEEN_TOGETHER:
            self._decide(self._known)
        else:
            self._decide(self._gain >= INDEPENDENT * self._met)

    @property
    def _tried_from(self) -> int:
        return ALONE_BATCHES + (0 if self._known is None else self._hold)

    def _learn(self, company: float, seconds: float, batch: Ended) -> None:
        curve = self._alone.setdefault(batch.signature, CostCurve())
        rows = max(batch.rows, 1)
        if self._batches >= self._tried_from - ALONE_BATCHES:
            # What company used is not this batch's.
            self._saturating += 1 if batch.busy_share >= SATURATING * max(company, 1.0) else -1
        if company <= ALONE:
            curve.learn(rows, seconds)
        elif company >= IN_COMPANY and self._batches >= self._tried_from:
            alone_s = curve.seconds(rows)
            if alone_s is not None and rows <= KNOWN_SIZES * curve.largest_rows:
                self._met += 1
                self._gain += min(max((company * alone_s / seconds - 1) / (company - 1), 0.0), 1.0)

    def _decide(self, known: bool | None) -> None:
        self._hold = min(2 * self._hold, MAX_HOLD_BATCHES) if known is self._known else FIRST_HOLD_BATCHES
        self._known = known
        self.is_side_by_side = known is not False
        self._batches = self._met = self._saturating = 0
        self._gain = 0.0
