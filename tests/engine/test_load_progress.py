"""What is told of versions on their way: since when, and why they are tried again."""

from __future__ import annotations

import itertools

from jupyter_tfserve.engine.load_progress import LoadProgress
from jupyter_tfserve.lifecycle.states import LifecycleState
from jupyter_tfserve.types import ServableId

ONE, OTHER = ServableId("m", 1), ServableId("m", 2)
START, LOADING, AVAILABLE, UNLOADING, END = LifecycleState
NOTHING = {"changing_since": None, "last_error": None}


def test_time_starts_anew_with_each_state_when_a_version_comes_and_goes():
    ticks = itertools.count(100)
    progress = LoadProgress(lambda: float(next(ticks)))
    seen = []
    for before, after in (
        (None, START),
        (START, LOADING),
        (LOADING, AVAILABLE),
        (AVAILABLE, UNLOADING),
        (UNLOADING, END),
    ):
        progress.follow(ONE, before, after, "")
        seen.append(progress.document(ONE)["changing_since"])
    assert seen == [100, 101, None, 102, None]
    assert progress.document(OTHER) == NOTHING


def test_error_is_told_beside_the_first_attempts_time_when_a_load_is_tried_again():
    ticks = itertools.count(100)
    progress = LoadProgress(lambda: float(next(ticks)))
    progress.follow(ONE, START, LOADING, "")
    progress.follow(ONE, LOADING, LOADING, "Attempt 1 of 6 to load failed: no graph")
    assert progress.document(ONE) == {
        "changing_since": 100.0,
        "last_error": "Attempt 1 of 6 to load failed: no graph",
    }
    progress.follow(ONE, LOADING, END, "no graph")
    assert progress.document(ONE) == NOTHING
