"""Whether batches run side by side: a version of which one batch keeps the machine busy runs one at a time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jupyter_tfserve.batching.overlap import HOLD_BATCHES, PHASE_BATCHES, PHASES, LaneOverlap


@dataclass
class Batch:
    rows: int


def run(overlap: LaneOverlap, batches: int, alone_s: float, together_s: float) -> list[bool]:
    """64 callers in a closed loop: one batch of 64 rows at a time, or two of 32 side by side. The modes, in order."""
    now, modes = 0.0, []
    for _ in range(batches):
        modes.append(overlap.one_at_a_time)
        overlap.began(now)
        if overlap.one_at_a_time:
            now += alone_s
            overlap.ended(now, alone_s, Batch(64))
        else:
            # The other lane's batch ends half-way through this one, all the time.
            now += together_s / 2
            overlap.ended(now, together_s, Batch(32))
    return modes


TRIAL = PHASE_BATCHES * (PHASES + 1)


@pytest.mark.parametrize(
    ("alone_s", "together_s", "one_at_a_time"),
    [
        (0.020, 0.030, True),  # two halves share the cores, and pay their fixed cost twice
        (0.020, 0.012, False),  # the second lane computes what the first leaves idle
        (0.020, 0.020, False),  # no difference: as it was
    ],
)
def test_faster_way_is_kept_after_a_trial(alone_s: float, together_s: float, one_at_a_time: bool) -> None:
    overlap = LaneOverlap()
    modes = run(overlap, TRIAL, alone_s, together_s)
    assert {True, False} == set(modes)
    assert overlap.one_at_a_time is one_at_a_time
    assert set(run(overlap, HOLD_BATCHES - 1, alone_s, together_s)) == {one_at_a_time}


def test_another_trial_follows_when_the_model_changes_its_ways() -> None:
    overlap = LaneOverlap()
    run(overlap, TRIAL, 0.020, 0.030)
    assert overlap.one_at_a_time
    run(overlap, HOLD_BATCHES + TRIAL, 0.020, 0.010)
    assert not overlap.one_at_a_time


def test_quick_batches_are_never_held_back() -> None:
    assert set(run(LaneOverlap(), 10 * TRIAL, 0.0005, 0.0009)) == {False}


def test_next_batch_leaves_shortly_before_the_running_one_ends() -> None:
    assert LaneOverlap.next_at(10.0, 0.010) == pytest.approx(9.999)
    assert LaneOverlap.next_at(10.0, 5.0) == pytest.approx(9.998)
