"""Callers are waited for where that was seen to pay, and nobody is who does not come back."""

from __future__ import annotations

import random

import pytest

from jupyter_tfserve.batching.gathering import (
    FIRST_HOLD_BATCHES,
    PHASE_BATCHES,
    PHASES,
    STEADY_BATCHES,
    GatheringTrial,
)

TRIAL = PHASE_BATCHES * PHASES + STEADY_BATCHES


class Callers:
    """A closed loop of 64, as so many rows a second without and with gathering."""

    def __init__(self, rates: tuple[float, float], cpu_rates: tuple[float, float] = (4000.0, 4000.0)) -> None:
        self.cpu_s = 0.0
        self.rates = rates
        self.cpu_rates = cpu_rates
        self.trial = GatheringTrial(lambda: self.cpu_s)
        self.present = lambda: 64

    def run(self, batches: int) -> list[bool]:
        """Whether each was gathered."""
        ways = []
        for _ in range(batches):
            is_on = self.trial.is_on
            ways.append(is_on)
            self.cpu_s += 64 / self.cpu_rates[is_on]
            self.trial.ended(64, 64 / self.rates[is_on], self.present())
        return ways


@pytest.mark.parametrize(
    ("rates", "is_on"), [((3000, 3600), True), ((3000, 3000), False), ((3600, 3000), False)]
)
def test_faster_way_is_kept_after_a_trial(rates: tuple[float, float], is_on: bool) -> None:
    callers = Callers(rates)
    assert set(callers.run(TRIAL)) == {False, True}
    assert set(callers.run(FIRST_HOLD_BATCHES - 1)) == {is_on}


@pytest.mark.parametrize(
    ("rates", "cpu_rates", "is_on"),
    [
        ((2000, 1900), (2700, 4400), True),  # alike by the clock, and it costs less
        ((2000, 1700), (2700, 4400), False),  # too slow for that
        ((2000, 2150), (4400, 2700), False),  # hardly faster, and it costs more
    ],
)
def test_cheaper_way_is_kept_when_both_are_as_fast(
    rates: tuple[float, float], cpu_rates: tuple[float, float], is_on: bool
) -> None:
    """On cores that others use too, more threads get more of them: the clock tells little."""
    callers = Callers(rates, cpu_rates)
    callers.run(TRIAL)
    assert callers.trial.is_on is is_on


def test_machine_that_stops_for_a_moment_does_not_decide() -> None:
    callers, rates = Callers((3000, 3600)), (3000, 3600)
    for number in range(TRIAL):
        # In the middle of the first phase with gathering.
        callers.rates = (64 / 0.5, 64 / 0.5) if number in (STEADY_BATCHES + 5, STEADY_BATCHES + 6) else rates
        callers.run(1)
    assert callers.trial.is_on


def test_gathering_stays_when_both_ways_look_alike_later() -> None:
    callers = Callers((3000, 3600))
    callers.run(TRIAL)
    callers.rates = (3600, 3600)
    callers.run(FIRST_HOLD_BATCHES + TRIAL)
    assert callers.trial.is_on


def test_gathering_ends_when_a_later_trial_finds_it_slower() -> None:
    callers = Callers((3000, 3600))
    callers.run(TRIAL)
    callers.rates = (5000, 3600)
    callers.run(FIRST_HOLD_BATCHES + TRIAL)
    assert not callers.trial.is_on


def test_nobody_is_ever_waited_for_when_callers_come_at_times_of_their_own() -> None:
    """Not even in a trial, which would cost them."""
    callers, chance = Callers((3000, 3600)), random.Random(3)
    callers.present = lambda: 1 + int(chance.expovariate(1 / 6))
    assert set(callers.run(3000)) == {False}


def test_a_single_caller_is_not_tried_with() -> None:
    callers = Callers((3000, 3600))
    callers.present = lambda: 1
    assert set(callers.run(1000)) == {False}


def test_gathering_ends_at_once_when_callers_stop_coming_back() -> None:
    callers, chance = Callers((3000, 3600)), random.Random(5)
    callers.run(TRIAL)
    assert callers.trial.is_on
    callers.present = lambda: chance.randint(1, 20)
    assert not callers.run(STEADY_BATCHES)[-1]
    assert set(callers.run(100)) == {False}
