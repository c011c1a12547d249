"""Which versions are aspired and what happens next: upstream's rule table, and its promises as properties."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.lifecycle.policy import (
    Action,
    ActionKind,
    All,
    Latest,
    Specific,
    VersionSnapshot,
    aspired_versions,
    next_action,
)
from jupyter_tfserve.lifecycle.states import LifecycleState

START, LOADING, AVAILABLE, UNLOADING, END = LifecycleState
FOUND = {version: Path(f"/m/{version}") for version in (1, 3, 17, 30)}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Latest(), [30]),
        (Latest(1), [30]),
        (Latest(0), [30]),
        (Latest(2), [30, 17]),
        (Latest(9), [30, 17, 3, 1]),
        (All(), [30, 17, 3, 1]),
        (Specific((17, 3)), [17, 3]),
        (Specific((17, 99)), [17]),
        (Specific(()), []),
    ],
)
def test_aspired_versions_are_those_of_the_policy(policy, expected):
    assert list(aspired_versions(policy, FOUND).items()) == [(v, FOUND[v]) for v in expected]


@pytest.mark.parametrize(
    ("policy", "expected", "asked"),
    [
        (Latest(), [17], [30, 17]),
        (Latest(2), [17, 3], [30, 17, 3]),
        (All(), [17, 3, 1], [30, 17, 3, 1]),
        (Specific((30, 1)), [1], [30, 1]),
    ],
)
def test_aspired_versions_pass_over_what_is_not_servable_and_ask_no_more_than_needed(policy, expected, asked):
    seen = []

    def is_servable(version: int, _path: Path) -> bool:
        seen.append(version)
        return version != 30

    assert list(aspired_versions(policy, FOUND, is_servable)) == expected
    assert seen == asked


def load(version: int) -> Action:
    return Action(ActionKind.LOAD, version)


def unload(version: int) -> Action:
    return Action(ActionKind.UNLOAD, version)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        pytest.param([], None, id="ReturnsNoActionWhenNone"),
        pytest.param([(1, START, True), (2, START, True)], load(2), id="LoadsTheHighestNewAspired"),
        pytest.param([(1, AVAILABLE, False), (2, START, True)], load(2), id="LoadsBeforeItUnloads"),
        pytest.param([(1, AVAILABLE, False), (2, LOADING, True)], None, id="DoesNotUnloadWhenOtherNotReady"),
        pytest.param([(1, AVAILABLE, False), (2, END, True)], None, id="DoesNotUnloadWhenOtherInError"),
        pytest.param([(1, AVAILABLE, False), (2, AVAILABLE, True)], unload(1), id="UnloadsWhenOtherIsReady"),
        pytest.param(
            [(1, AVAILABLE, False), (2, AVAILABLE, True), (3, LOADING, True)],
            unload(1),
            id="UnloadIfOtherReadyEvenIfLoading",
        ),
        pytest.param(
            [(1, AVAILABLE, False), (2, AVAILABLE, True), (3, END, True)],
            unload(1),
            id="UnloadIfOtherReadyEvenIfError",
        ),
        pytest.param(
            [(1, AVAILABLE, False), (2, AVAILABLE, False), (3, START, True)],
            unload(1),
            id="UnloadsAllOldOnesButTheHighestFirst",
        ),
        pytest.param(
            [(2, AVAILABLE, False), (1, AVAILABLE, False)], unload(1), id="UnloadsTheLowestWhenNoAspired"
        ),
        pytest.param([(1, LOADING, False), (2, UNLOADING, False), (3, END, False)], None, id="LeavesTheRest"),
        pytest.param([(1, AVAILABLE, True), (2, START, True)], load(2), id="LoadsMore"),
        pytest.param([(3, AVAILABLE, False), (1, START, True)], load(1), id="GoesBackToASmallerNumber"),
    ],
)
def test_next_action_follows_the_availability_preserving_policy(versions, expected):
    assert next_action(VersionSnapshot(*version) for version in versions) == expected


@given(
    serving=st.sets(st.integers(0, 5)),
    aspired=st.sets(st.integers(0, 5)),
    failing=st.sets(st.integers(0, 5)),
)
def test_policy_ends_at_what_is_aspired_and_never_leaves_a_model_without_a_version(serving, aspired, failing):
    states = dict.fromkeys(serving, AVAILABLE) | dict.fromkeys(aspired - serving, START)
    for _ in range(50):
        action = next_action(VersionSnapshot(v, s, v in aspired) for v, s in states.items())
        if action is None:
            break
        if action.kind is ActionKind.UNLOAD:
            states[action.version] = END
        else:
            states[action.version] = END if action.version in failing else AVAILABLE
        if serving and aspired:
            assert AVAILABLE in states.values()
    up = {version for version, state in states.items() if state is AVAILABLE}
    loadable = (aspired & serving) | (aspired - failing)
    if loadable or not aspired:
        assert up == loadable
    else:
        # Nothing aspired can be loaded: the highest old version, if there was one, stays.
        assert up == ({max(serving)} if serving else set())
