"""How lanes take turns: the way that was fastest in a trial, within what may be waited."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.batching.overlap import (
    FIRST_HOLD_BATCHES,
    LINGER_SHARE,
    MAX_LINGER_S,
    OVERDUE,
    PHASE_BATCHES,
    PHASES,
    LaneOverlap,
    Running,
    Turns,
)

SIDE, ONE, GATHER = Turns.SIDE_BY_SIDE, Turns.ONE_AT_A_TIME, Turns.GATHERING


@dataclass
class Batch:
    rows: int


class Machine:
    """64 callers in a closed loop, as so many rows a second by the way in which lanes take turns."""

    def __init__(
        self,
        rates: dict[Turns, float],
        batch_s: float = 0.020,
        cpu_rates: dict[Turns, float] | None = None,
        come_back: bool = True,
    ) -> None:
        self.cpu_s = 0.0
        self.cpu_rates = cpu_rates or dict.fromkeys(Turns, 4000.0)
        self.come_back = come_back
        self.overlap = LaneOverlap(lambda: self.cpu_s)
        self.rates = rates
        self.batch_s = batch_s
        self.now = 100.0

    def run(self, batches: int) -> list[Turns]:
        """The ways that were taken, in order."""
        ways = []
        for _ in range(batches):
            ways.append(self.overlap.turns)
            if self.overlap.turns is Turns.GATHERING:
                self.overlap.next_at(64, None, 256, True)
                self.overlap.formed(64 if self.come_back else 30)
            self.overlap.began(self.now, self.now)
            self.cpu_s += 64 / self.cpu_rates[self.overlap.turns]
            self.now += 64 / self.rates[self.overlap.turns]
            self.overlap.ended(self.now, self.batch_s, Batch(64))
        return ways


TRIAL = PHASE_BATCHES * (PHASES + 1)


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        (
            {SIDE: 2800, ONE: 3600, GATHER: 3700},
            ONE,
        ),  # the last one must be clearly better, since callers wait
        ({SIDE: 2800, ONE: 3600, GATHER: 4500}, GATHER),
        ({SIDE: 5000, ONE: 3600, GATHER: 3700}, SIDE),
        ({SIDE: 3600, ONE: 3600, GATHER: 3600}, SIDE),
    ],
)
def test_fastest_way_is_kept_after_a_trial(rates: dict[Turns, float], best: Turns) -> None:
    machine = Machine(rates)
    assert set(machine.run(TRIAL)) == set(Turns)
    assert set(machine.run(FIRST_HOLD_BATCHES - 1)) == {best}


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({SIDE: 2000, ONE: 1950, GATHER: 1900}, GATHER),  # alike by the clock, and it costs least
        ({SIDE: 2000, ONE: 1950, GATHER: 1700}, ONE),  # too slow for that
        ({SIDE: 2500, ONE: 1950, GATHER: 1700}, SIDE),
    ],
)
def test_cheapest_way_is_kept_when_several_are_as_fast(rates: dict[Turns, float], best: Turns) -> None:
    """On cores that others use too, more threads get more of them: the clock tells little."""
    machine = Machine(rates, cpu_rates={SIDE: 2700, ONE: 3500, GATHER: 4400})
    machine.run(TRIAL)
    assert machine.overlap.turns is best


def test_callers_are_not_waited_for_when_they_come_at_times_of_their_own() -> None:
    machine = Machine({SIDE: 2800, ONE: 3600, GATHER: 4500}, come_back=False)
    machine.run(TRIAL)
    assert machine.overlap.turns is ONE


def test_another_trial_follows_when_the_model_changes_its_ways() -> None:
    machine = Machine({SIDE: 2800, ONE: 3600, GATHER: 3700})
    machine.run(TRIAL)
    machine.rates = {SIDE: 5000, ONE: 3600, GATHER: 3700}
    machine.run(FIRST_HOLD_BATCHES + TRIAL)
    assert machine.overlap.turns is SIDE


def test_quick_batches_are_never_held_back() -> None:
    machine = Machine({SIDE: 2800, ONE: 3600, GATHER: 4500}, batch_s=0.0005)
    assert set(machine.run(10 * TRIAL)) == {SIDE}


def test_time_in_which_nobody_waited_does_not_count() -> None:
    """At half load every way answers what comes; what is compared is the time that somebody waited."""
    machine = Machine({SIDE: 2800, ONE: 3600, GATHER: 3600})
    for _ in range(TRIAL):
        machine.run(1)
        machine.now += 0.5
    assert machine.overlap.turns is ONE


def taking(turns: Turns) -> LaneOverlap:
    overlap = LaneOverlap()
    overlap.turns = turns
    return overlap


def ended(overlap: LaneOverlap, now: float, seconds: float) -> None:
    overlap.began(now - seconds, now - seconds)
    overlap.ended(now, seconds, Batch(64))


def test_next_batch_leaves_shortly_before_the_running_one_ends_when_one_at_a_time() -> None:
    overlap = taking(ONE)
    assert overlap.next_at(5, Running(10.0, 0.010, 64), 64, True) == pytest.approx(9.999)
    assert overlap.next_at(5, Running(10.0, 5.0, 64), 64, True) == pytest.approx(9.998)
    assert overlap.next_at(5, None, 64, True) == 0


def test_callers_of_the_last_batch_are_waited_for_when_gathering() -> None:
    overlap = taking(GATHER)
    assert overlap.next_at(3, Running(10.0, 0.02, 61), 256, True) == pytest.approx(
        10.0 + (OVERDUE - 1) * 0.02
    )
    ended(overlap, 10.0, 0.02)
    assert overlap.next_at(3, None, 256, True) == pytest.approx(10.0 + LINGER_SHARE * 0.02)
    assert overlap.next_at(62, None, 256, True) == 0
    # A full batch waits for nobody.
    assert overlap.next_at(16, None, 16, True) == 0


def test_nobody_is_waited_for_when_there_is_a_latency_goal() -> None:
    overlap = taking(GATHER)
    overlap.next_at(3, Running(10.0, 0.02, 61), 256, True)
    ended(overlap, 10.0, 0.02)
    assert overlap.next_at(3, None, 256, may_linger=False) == 0


def test_callers_that_do_not_come_back_are_waited_for_once() -> None:
    overlap = taking(GATHER)
    overlap.formed(64)
    ended(overlap, 10.0, 0.02)
    assert overlap.next_at(1, None, 256, True) > 10.0
    overlap.formed(1)
    ended(overlap, 11.0, 0.02)
    assert overlap.next_at(1, None, 256, True) == 0


@given(
    turns=st.sampled_from(Turns),
    waiting=st.integers(1, 500),
    running_rows=st.integers(0, 500),
    seconds=st.floats(0, 10),
    may_linger=st.booleans(),
)
def test_waiting_is_bounded_whatever_happens(
    turns: Turns, waiting: int, running_rows: int, seconds: float, may_linger: bool
) -> None:
    """A free lane stays free at most half a batch longer than the running one, and shortly after none runs."""
    overlap = taking(turns)
    ended(overlap, 100.0, seconds)
    running = Running(100.0 + seconds, seconds, running_rows)
    assert overlap.next_at(waiting, running, 64, may_linger) <= 100.0 + OVERDUE * seconds + 1e-9
    assert overlap.next_at(waiting, None, 64, may_linger) <= 100.0 + min(LINGER_SHARE * seconds, MAX_LINGER_S)
