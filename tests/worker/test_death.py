"""How an exit status reads, and whom it blames."""

from __future__ import annotations

import pytest

from jupyter_tfserve.worker.death import death


@pytest.mark.parametrize(
    ("status", "how", "is_own_fault"),
    [
        (None, "", False),
        (0, " (exit status 0)", False),
        (3, " (exit status 3)", True),
        (-6, " (signal 6, aborted)", True),
        (-11, " (signal 11, segmentation fault)", True),
        (-9, " (signal 9, killed)", False),
        (-15, " (signal 15, terminated)", False),
    ],
)
def test_death_blames_the_model_when_nobody_else_can_have_done_it(status, how, is_own_fault):
    found = death(status)
    assert (found.how, found.is_own_fault) == (how, is_own_fault)


@pytest.mark.parametrize(
    ("is_ours", "oom_kills", "how", "is_own_fault"),
    [
        (False, 1, " (signal 9, killed, out of memory)", True),
        (False, None, " (signal 9, killed, perhaps out of memory)", False),
        (True, 1, " (signal 9, killed)", False),
    ],
)
def test_kill_is_for_memory_when_the_system_says_so(is_ours, oom_kills, how, is_own_fault):
    found = death(-9, is_ours, oom_kills)
    assert (found.how, found.is_own_fault) == (how, is_own_fault)
