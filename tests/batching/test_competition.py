"""Whether batches at once take each other's time: by what their workers say, or by how long they take together."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jupyter_tfserve.batching.competition import (
    ALONE_BATCHES,
    FIRST_HOLD_BATCHES,
    SEEN_TOGETHER,
    TRIED_BATCHES,
    Competition,
)


@dataclass
class Batch:
    began: float
    mark: float
    rows: int
    busy_share: float
    signature: str = "s"


class Device:
    """Runs pairs of batches that it is given; `together` is how much longer each of two takes."""

    def __init__(self, together: float, busy_share: float, batch_s: float = 0.020) -> None:
        self.competition = Competition()
        self.together = together
        self.busy_share = busy_share
        self.batch_s = batch_s
        self.now = 100.0

    def run(self, batches: int, rows: int = 32) -> list[bool]:
        """Whether each was run side by side with another."""
        ways = []
        while len(ways) < batches:
            count = 2 if self.competition.is_side_by_side else 1
            began = self.now
            marks = [self.competition.began(began) for _ in range(count)]
            self.now += self.batch_s * (self.together if count == 2 else 1.0)
            share = self.busy_share * (count / self.together if count == 2 else 1.0)
            for mark in marks:
                ways.append(count == 2)
                self.competition.ended(self.now, Batch(began, mark, rows, share))
        return ways


def test_batches_go_one_at_a_time_when_one_keeps_all_processors_busy() -> None:
    """Without a trial: nothing is ever run side by side, after the first, of which nothing is known."""
    ways = Device(together=2.0, busy_share=1.0).run(200)
    assert sum(ways) <= 2
    assert not any(ways[2:])


@pytest.mark.parametrize(
    ("together", "is_side_by_side"), [(2.0, False), (1.8, False), (1.2, True), (1.0, True)]
)
def test_what_company_costs_decides_when_processors_are_idle(together: float, is_side_by_side: bool) -> None:
    """A GPU, a lock, a call over the network: processors do not tell."""
    device = Device(together, busy_share=0.1)
    tried = device.run(2 + ALONE_BATCHES + SEEN_TOGETHER + 2)
    assert is_side_by_side or sum(tried[2:]) <= SEEN_TOGETHER + 2
    assert set(device.run(200)) == {is_side_by_side}
    assert device.competition.is_independent is is_side_by_side


def test_workers_that_say_nothing_are_judged_by_what_company_costs() -> None:
    device = Device(2.0, busy_share=0.0)
    device.run(40)
    assert set(device.run(200)) == {False}


def test_another_look_is_taken_when_the_model_changes_its_ways() -> None:
    device = Device(2.0, busy_share=1.0)
    device.run(40)
    device.together, device.busy_share = 1.0, 0.1
    device.run(FIRST_HOLD_BATCHES + 100)
    assert set(device.run(100)) == {True}


def test_what_is_known_holds_longer_each_time_it_is_found_again() -> None:
    device = Device(1.9, busy_share=0.1)
    ways = device.run(6 * FIRST_HOLD_BATCHES)
    assert sum(ways) <= 2 + 3 * (SEEN_TOGETHER + 2)


def test_size_that_was_never_alone_does_not_decide() -> None:
    """Its time alone would be a guess: such batches run side by side, and in the end nothing is known."""
    device = Device(1.0, busy_share=0.1)
    device.run(2 + ALONE_BATCHES, rows=4)
    device.run(TRIED_BATCHES - 2, rows=64)
    assert not device.competition.is_decided


def test_quick_batches_are_side_by_side_whatever_they_say() -> None:
    assert all(Device(2.0, busy_share=1.0, batch_s=0.0004).run(300))
