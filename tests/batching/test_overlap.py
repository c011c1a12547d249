"""How lanes take turns: by what was seen of batches and callers, within what may be waited."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.batching.overlap import (
    LINGER_SHARE,
    MAX_LINGER_S,
    OVERDUE,
    OVERDUE_S,
    LaneOverlap,
    Running,
    Turns,
)

SIDE, ONE, GATHER = Turns.SIDE_BY_SIDE, Turns.ONE_AT_A_TIME, Turns.GATHERING


@dataclass
class Batch:
    began: float
    mark: float = 0.0
    rows: int = 64
    signature: str = "s"
    busy_share: float = 1.0


def taking(turns: Turns) -> LaneOverlap:
    overlap = LaneOverlap()
    overlap.turns = turns
    return overlap


def run(overlap: LaneOverlap, now: float, seconds: float) -> None:
    """A batch that ends now; the way in which lanes take turns stays."""
    turns = overlap.turns
    mark = overlap.began(now - seconds, now - seconds)
    overlap.ended(now, Batch(now - seconds, mark))
    overlap.turns = turns


def test_next_batch_leaves_when_the_running_one_is_back_when_one_at_a_time() -> None:
    overlap = taking(ONE)
    assert overlap.next_at(5, Running(10.0, 0.005, 64), 64, True) == pytest.approx(10.0 + OVERDUE_S)
    assert overlap.next_at(500, Running(10.0, 0.1, 64), 64, False) == pytest.approx(10.2)
    assert overlap.next_at(5, None, 64, True) == 0


def test_callers_of_the_last_batch_are_waited_for_when_gathering() -> None:
    overlap = taking(GATHER)
    assert overlap.next_at(3, Running(10.0, 0.02, 61), 256, True) == pytest.approx(
        10.0 + (OVERDUE - 1) * 0.02
    )
    run(overlap, 10.0, 0.02)
    assert overlap.next_at(3, None, 256, True) == pytest.approx(10.0 + LINGER_SHARE * 0.02)
    assert overlap.next_at(62, None, 256, True) == 0
    # A full batch waits for nobody.
    assert overlap.next_at(16, None, 16, True) == 0


def test_nobody_is_waited_for_when_there_is_a_latency_goal() -> None:
    overlap = taking(GATHER)
    overlap.next_at(3, Running(10.0, 0.02, 61), 256, True)
    run(overlap, 10.0, 0.02)
    assert overlap.next_at(3, None, 256, may_linger=False) == 0


def test_callers_that_do_not_come_back_are_waited_for_once() -> None:
    overlap = taking(GATHER)
    overlap.formed(64)
    run(overlap, 10.0, 0.02)
    assert overlap.next_at(1, None, 256, True) > 10.0
    overlap.formed(1)
    run(overlap, 11.0, 0.02)
    assert overlap.next_at(1, None, 256, True) == 0


def test_half_of_those_who_wait_go_first_when_nobody_is_gathered_any_more() -> None:
    """All at once they would stay one group, and the way without gathering would look like the one with it."""
    overlap = taking(GATHER)
    mark = overlap.began(10.0, 10.0)
    overlap.ended(10.02, Batch(10.0, mark))
    assert overlap.turns is ONE
    assert overlap.most_rows(63, 2) == 32
    assert overlap.most_rows(63, 2) == 0


def test_quick_batches_are_never_held_back() -> None:
    overlap, now = LaneOverlap(), 10.0
    for _ in range(200):
        mark = overlap.began(now, now)
        overlap.ended(now + 0.0005, Batch(now, mark))
        now += 0.0005
        assert overlap.turns is SIDE
        assert overlap.most_rows(64, 2) == 0


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
    """A free lane stays free at most two batches longer than the running one, and shortly after none runs."""
    overlap = taking(turns)
    run(overlap, 100.0, seconds)
    running = Running(100.0 + seconds, seconds, running_rows)
    assert overlap.next_at(waiting, running, 64, may_linger) <= 100.0 + OVERDUE * seconds + OVERDUE_S + 1e-9
    assert (
        overlap.next_at(waiting, None, 64, may_linger)
        <= 100.0 + min(LINGER_SHARE * seconds, MAX_LINGER_S) + 1e-9
    )


@given(
    ends=st.lists(
        st.tuples(
            st.integers(0, 64), st.floats(0, 0.1), st.floats(0, 2), st.integers(0, 1), st.integers(0, 200)
        ),
        max_size=150,
    ),
    waiting=st.integers(1, 200),
    free=st.integers(1, 8),
)
def test_somebody_always_goes_whatever_was_seen(
    ends: list[tuple[int, float, float, int, int]], waiting: int, free: int
) -> None:
    """No history of batches leaves those who wait without a turn: there is a time, and it lets some go."""
    present = 0
    overlap = LaneOverlap(present_rows=lambda: present)
    now = 100.0
    flying: list[Batch] = []
    for rows, seconds, share, stays, others in ends:
        present = others
        flying.append(Batch(now, overlap.began(now, now), rows, "s", share))
        now += seconds
        if not stays:
            overlap.ended(now, flying.pop(0))
    assert 0 <= overlap.most_rows(waiting, free) <= waiting
    when = overlap.next_at(waiting, None, 64, True)
    assert when <= now + MAX_LINGER_S
