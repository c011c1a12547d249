"""The table of states: what is legal, what is not, and what keeps a version aspired."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.states import (
    TRANSITIONS,
    AspiredVersion,
    Event,
    Harness,
    LifecycleState,
    VersionStatus,
    next_state,
)
from jupyter_tfserve.types import ServableId

ILLEGAL = sorted(
    set(product(LifecycleState, Event)) - set(TRANSITIONS), key=lambda move: (move[0], move[1].value)
)
HERE = AspiredVersion(Path("/models/m/1"), "a")


@pytest.fixture
def harness(loaders):
    servable = ServableId("m", 1)
    return Harness(servable, HERE, loaders(servable, HERE.path))


def test_states_have_the_numbers_of_the_proto():
    numbers = {state.name: int(state) for state in LifecycleState}
    assert numbers == {"START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_move_raises_internal_when_the_table_does_not_know_it(state, event):
    with pytest.raises(ServingError) as caught:
        next_state(state, event)
    assert caught.value.code is Code.INTERNAL


@pytest.mark.parametrize("state", [s for s in LifecycleState if s is not LifecycleState.END])
def test_every_state_leads_to_the_end_and_never_back(state):
    following = {after for (before, _), after in TRANSITIONS.items() if before is state}
    assert following
    assert all(after > state for after in following)


def test_end_is_final():
    assert not [move for move in TRANSITIONS if move[0] is LifecycleState.END]


@pytest.mark.parametrize(
    ("events", "wanted", "expected"),
    [
        ([], HERE, True),
        ([], None, False),
        ([], AspiredVersion(HERE.path, "b"), True),
        ([], AspiredVersion(Path("/other/1"), "a"), False),
        ([Event.LOAD, Event.LOADED], AspiredVersion(HERE.path, "b"), True),
        ([Event.LOAD, Event.LOAD_FAILED], HERE, True),
        ([Event.LOAD, Event.LOAD_FAILED], AspiredVersion(HERE.path, "b"), False),
        ([Event.LOAD, Event.LOAD_FAILED], None, False),
    ],
)
def test_harness_stays_aspired_only_when_the_same_is_wanted(harness, events, wanted, expected):
    for event in events:
        harness.advance(event)
    harness.aspire(wanted)
    assert harness.is_aspired is expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([Event.LOAD, Event.LOADED], True),
        ([Event.LOAD, Event.LOADED, Event.UNLOAD], False),
        ([Event.CANCEL], False),
    ],
)
def test_harness_is_aspired_again_only_when_it_is_still_up(harness, events, expected):
    for event in events:
        harness.advance(event)
    harness.aspire(None)
    harness.aspire(HERE)
    assert harness.is_aspired is expected


def test_status_tells_the_error_only_at_the_end(harness):
    harness.advance(Event.LOAD)
    harness.error = ServingError(Code.DATA_LOSS, "broken")
    assert harness.status == VersionStatus(1, LifecycleState.LOADING)
    harness.advance(Event.LOAD_FAILED)
    assert harness.status == VersionStatus(1, LifecycleState.END, Code.DATA_LOSS, "broken")
    assert harness.status.is_concluded
