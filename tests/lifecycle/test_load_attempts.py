"""Loads that fail and are tried again: how often, when, and who has their slot meanwhile."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.states import LifecycleState, VersionStatus
from jupyter_tfserve.types import ServableId
from tests.lifecycle.manager_calls import RETRY_S, aspired, log_states, states

START, LOADING, AVAILABLE, UNLOADING, END = LifecycleState


@pytest.mark.parametrize("interval_micros", [60_000_000, 0, -1])
async def test_load_is_repeated_until_it_succeeds(make_manager, loaders, clock, spin, interval_micros):
    manager = make_manager(max_num_load_retries=3, load_retry_interval_micros=interval_micros)
    log = log_states(manager)
    loaders.fail(1, "first", "second")
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    if interval_micros > 0:
        for loads in (1, 2):
            assert (loaders.last(1).loads, states(manager)) == (loads, {1: LOADING})
            await clock.advance(RETRY_S - 1)
            assert loaders.last(1).loads == loads
            await clock.advance(1)
    assert (loaders.last(1).loads, states(manager)) == (3, {1: AVAILABLE})
    assert (1, LOADING, "Attempt 1 of 4 to load failed: first") in log
    assert manager.statuses("m") == (VersionStatus(1, AVAILABLE),)


async def test_load_ends_with_the_last_error_when_every_attempt_fails(make_manager, loaders, spin):
    manager = make_manager(max_num_load_retries=2, load_retry_interval_micros=-1)
    loaders.fail(1, "a", "b", "c", "never tried")
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    assert loaders.last(1).loads == 3
    assert manager.statuses("m") == (VersionStatus(1, END, Code.NOT_FOUND, "c"),)


async def test_retries_stop_when_the_version_is_not_aspired_any_more(make_manager, loaders, clock, spin):
    manager = make_manager(max_num_load_retries=5)
    loaders.fail(1, "a", "b")
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    manager.set_aspired_versions("m", {})
    await spin()
    assert manager.statuses("m") == (VersionStatus(1, END, Code.NOT_FOUND, "a"),)
    assert (loaders.last(1).loads, clock.sleepers) == (1, 0)


async def test_retry_goes_on_waiting_when_another_model_changes(make_manager, loaders, clock, spin):
    manager = make_manager(max_num_load_retries=1)
    loaders.fail(1, "a")
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    manager.set_aspired_versions("other", aspired(1))
    await spin()
    assert states(manager) == {1: LOADING}
    await clock.advance(RETRY_S)
    assert states(manager) == {1: AVAILABLE}


async def test_good_versions_load_when_a_broken_one_waits_for_its_next_attempt(
    make_manager, loaders, clock, spin
):
    manager = make_manager(num_load_threads=1, max_num_load_retries=1, load_retry_interval_micros=60_000_000)
    loaders.fail(1, "broken", name="bad")
    manager.set_aspired_versions("bad", aspired(1))
    await spin()
    manager.set_aspired_versions("good", aspired(2))
    await spin()
    assert (states(manager, "bad"), states(manager, "good")) == ({1: LOADING}, {2: AVAILABLE})
    # Its turn comes when there is a slot for it again.
    loaders.is_holding = True
    manager.set_aspired_versions("good", aspired(2, 3))
    await spin()
    await clock.advance(61)
    await spin()
    assert (loaders.loading, loaders.last(1, "bad").loads) == (1, 1)
    loaders.is_holding = False
    loaders.finish(3, "good")
    await spin()
    assert (loaders.last(1, "bad").loads, states(manager, "good")[3]) == (2, AVAILABLE)
    assert loaders.most_loading == 1


async def test_version_serves_when_its_loader_died_in_an_earlier_attempt_only(make_manager, loaders, spin):
    manager = make_manager(max_num_load_retries=1, load_retry_interval_micros=-1)
    loaders.is_holding = True
    loaders.fail(1, "died")
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    manager.fail(ServableId("m", 1), ServingError(Code.UNAVAILABLE, "killed by signal 9"))
    loaders.finish(1)
    await spin()
    loaders.finish(1)
    await spin()
    assert manager.statuses("m") == (VersionStatus(1, AVAILABLE),)


async def test_foreign_exception_does_not_leak_its_text_when_a_load_raises_it(manager, loaders, spin):
    loaders.script[ServableId("m", 1)].append(ValueError("/secret/path"))
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    expected = VersionStatus(1, END, Code.UNKNOWN, "The loader failed with ValueError")
    assert manager.statuses("m") == (expected,)


async def test_close_cancels_loads_under_way_and_retries(make_manager, loaders, clock, spin):
    manager = make_manager(max_num_load_retries=5, num_load_threads=2)
    loaders.fail(1, "a")
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    loaders.is_holding = True
    manager.set_aspired_versions("n", aspired(1, 2))
    await spin()
    await manager.close()
    assert {*states(manager).values(), *states(manager, "n").values()} == {END}
    assert (loaders.loading, clock.sleepers) == (0, 0)
