"""The manager with fake loaders and a virtual clock: upstream's transition tests, and ours on top."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.policy import next_action
from jupyter_tfserve.lifecycle.states import LifecycleState, VersionStatus
from jupyter_tfserve.types import ModelSpec, ServableId
from tests.lifecycle.manager_calls import aspired, log_states, states

START, LOADING, AVAILABLE, UNLOADING, END = LifecycleState


async def test_policy_is_not_asked_again_when_what_is_aspired_serves_already(manager, spin, monkeypatch):
    """Each look at each model's folder comes here: the policy goes over all models."""
    asked = []
    monkeypatch.setattr(
        "jupyter_tfserve.lifecycle.manager.next_action",
        lambda versions: asked.append(1) or next_action(versions),
    )
    for model in ("m", "n"):
        manager.set_aspired_versions(model, aspired(1))
    await spin()
    assert states(manager, "m") == states(manager, "n") == {1: AVAILABLE}
    asked.clear()
    manager.set_aspired_versions("m", aspired(1))
    assert not asked
    manager.set_aspired_versions("m", aspired(2))
    await spin()
    assert asked
    assert states(manager, "m") == {1: END, 2: AVAILABLE}


async def test_version_goes_through_every_state_when_aspired_and_unaspired(manager, spin):
    log = log_states(manager)
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    manager.set_aspired_versions("m", {})
    await spin()
    assert log == [(1, state, "") for state in LifecycleState]
    assert manager.statuses("m") == (VersionStatus(1, END),)


async def test_listener_is_never_told_a_lie_about_what_can_be_asked(manager, spin):
    seen = []

    def listen(servable, before, after, text):
        seen.append((after, servable.version in manager.serving_map.available("m")))

    manager.add_listener(listen)
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    manager.set_aspired_versions("m", {})
    await spin()
    assert seen == [(START, False), (LOADING, False), (AVAILABLE, True), (UNLOADING, True), (END, False)]


async def test_new_version_is_up_before_the_old_one_goes(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    loaders.is_holding = True
    manager.set_aspired_versions("m", aspired(2))
    await spin()
    assert states(manager) == {1: AVAILABLE, 2: LOADING}
    assert manager.serving_map.lookup(ModelSpec("m")).id.version == 1
    loaders.finish(2)
    await spin()
    assert manager.serving_map.available("m") == {2}


async def test_unload_waits_for_the_requests_in_flight(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    handle = manager.serving_map.lookup(ModelSpec("m"))
    manager.set_aspired_versions("m", {})
    await spin()
    assert states(manager) == {1: UNLOADING}
    assert loaders.last(1).unloads == 0
    with pytest.raises(ServingError):
        manager.serving_map.lookup(ModelSpec("m"))
    handle.release()
    await spin()
    assert (states(manager), loaders.last(1).unloads) == ({1: END}, 1)


async def test_old_version_keeps_serving_when_the_new_one_fails(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    loaders.fail(2, "no graph")
    manager.set_aspired_versions("m", aspired(2))
    await spin()
    assert manager.statuses("m") == (
        VersionStatus(2, END, Code.NOT_FOUND, "no graph"),
        VersionStatus(1, AVAILABLE),
    )
    manager.set_aspired_versions("m", aspired(3))
    await spin()
    assert states(manager) == {3: AVAILABLE, 2: END, 1: END}


async def test_smaller_version_replaces_a_larger_one_when_only_it_is_aspired(manager, spin):
    manager.set_aspired_versions("m", aspired(9))
    await spin()
    manager.set_aspired_versions("m", aspired(4))
    await spin()
    assert manager.serving_map.lookup(ModelSpec("m")).id.version == 4
    assert states(manager)[9] is END


async def test_part_of_the_versions_leaves_when_the_rest_stays_aspired(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1, 2, 3))
    await spin()
    manager.set_aspired_versions("m", aspired(2, 3))
    await spin()
    assert states(manager) == {3: AVAILABLE, 2: AVAILABLE, 1: END}
    assert len(loaders.made) == 3


async def test_late_load_is_taken_down_when_the_version_is_not_aspired_any_more(manager, loaders, spin):
    loaders.is_holding = True
    log = log_states(manager)
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    manager.set_aspired_versions("m", {})
    loaders.finish(1)
    await spin()
    cancelled = "Loading of servable cancelled"
    assert manager.statuses("m") == (VersionStatus(1, END, Code.CANCELLED, cancelled),)
    assert loaders.last(1).unloads == 1
    assert AVAILABLE not in [state for _, state, _ in log]


async def test_waiting_version_ends_unloaded_when_it_is_not_aspired_any_more(make_manager, loaders, spin):
    manager = make_manager(num_load_threads=1)
    loaders.is_holding = True
    manager.set_aspired_versions("m", aspired(1, 2))
    await spin()
    assert states(manager) == {2: LOADING, 1: START}
    manager.set_aspired_versions("m", aspired(2))
    assert manager.statuses("m")[1].code is Code.CANCELLED
    loaders.finish(2)
    await spin()
    assert loaders.last(1).loads == 0


async def test_reaspired_version_loads_afresh_when_its_teardown_is_over(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    handle = manager.serving_map.lookup(ModelSpec("m"))
    manager.set_aspired_versions("m", {})
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    assert (states(manager), len(loaders.made)) == ({1: UNLOADING}, 1)
    handle.release()
    await spin()
    assert (states(manager), len(loaders.made)) == ({1: AVAILABLE}, 2)
    assert loaders.made[0].unloads == 1


async def test_serving_version_stays_while_the_wanted_one_is_still_on_its_way_out(manager, loaders, spin):
    """1 -> 2 -> 1 quickly: version 1 is not gone yet when it is wanted again, and 2 must bridge the gap."""
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    slow = manager.serving_map.lookup(ModelSpec("m"))
    manager.set_aspired_versions("m", aspired(2))
    await spin()
    assert states(manager) == {2: AVAILABLE, 1: UNLOADING}
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    assert states(manager) == {2: AVAILABLE, 1: UNLOADING}
    slow.release()
    await spin()
    assert states(manager) == {2: END, 1: AVAILABLE}


async def test_old_version_is_simply_kept_when_it_is_reaspired_before_it_leaves(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    loaders.fail(2, "broken")
    manager.set_aspired_versions("m", aspired(2))
    await spin()
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    assert (states(manager), loaders.last(1).loads) == ({2: END, 1: AVAILABLE}, 1)


async def test_failed_version_is_not_tried_again_while_it_stays_the_same(manager, loaders, spin):
    loaders.fail(1, "broken")
    for _ in range(3):
        manager.set_aspired_versions("m", aspired(1, fingerprint="a"))
        await spin()
    assert len(loaders.made) == 1


@pytest.mark.parametrize("change", ["files", "folder removed and back"])
async def test_failed_version_is_tried_again_when_something_changed(manager, loaders, spin, change):
    loaders.fail(1, "broken")
    manager.set_aspired_versions("m", aspired(1, fingerprint="a"))
    await spin()
    if change != "files":
        manager.set_aspired_versions("m", {})
    manager.set_aspired_versions("m", aspired(1, fingerprint="b" if change == "files" else "a"))
    await spin()
    assert manager.statuses("m") == (VersionStatus(1, AVAILABLE),)


async def test_serving_version_is_not_reloaded_when_its_files_change(manager, loaders, spin):
    for fingerprint in ("a", "b"):
        manager.set_aspired_versions("m", aspired(1, fingerprint=fingerprint))
        await spin()
    assert len(loaders.made) == 1


async def test_version_is_loaded_from_the_new_place_when_the_base_path_changes(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    manager.set_aspired_versions("m", aspired(1, base="/elsewhere"))
    await spin()
    assert [loader.path for loader in loaders.made] == [Path("/models/m/1"), Path("/elsewhere/1")]
    assert (loaders.made[0].unloads, states(manager)) == (1, {1: AVAILABLE})


@pytest.mark.parametrize(("threads", "expected"), [(0, 1), (1, 1), (3, 3)])
async def test_no_more_versions_load_at_once_than_allowed(make_manager, loaders, spin, threads, expected):
    manager = make_manager(num_load_threads=threads)
    loaders.is_holding = True
    for model in ("a", "b"):
        manager.set_aspired_versions(model, aspired(1, 2, 3))
    for _ in range(6):
        await spin()
        loaders.held.popitem()[1].set_result(None)
    await spin()
    assert loaders.most_loading == expected
    assert all(state is AVAILABLE for name in ("a", "b") for state in states(manager, name).values())


async def test_unload_goes_first_when_loads_fill_every_slot(make_manager, loaders, spin):
    manager = make_manager(num_load_threads=1)
    manager.set_aspired_versions("old", aspired(1))
    await spin()
    loaders.is_holding = True
    manager.set_aspired_versions("m", aspired(1, 2))
    await spin()
    manager.set_aspired_versions("old", {})
    await spin()
    assert (states(manager, "old"), states(manager)) == ({1: END}, {2: LOADING, 1: START})


async def test_version_ends_with_the_error_when_its_loader_dies(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    log = log_states(manager)
    manager.fail(ServableId("m", 1), ServingError(Code.UNAVAILABLE, "killed by signal 9"))
    assert manager.serving_map.available("m") == frozenset()
    await spin()
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    assert manager.statuses("m") == (VersionStatus(1, END, Code.UNAVAILABLE, "killed by signal 9"),)
    assert log == [(1, UNLOADING, "killed by signal 9"), (1, END, "killed by signal 9")]
    assert (loaders.last(1).unloads, len(loaders.made)) == (1, 1)


async def test_version_never_serves_when_its_loader_dies_as_the_load_ends(manager, loaders, spin):
    loaders.is_holding = True
    log = log_states(manager)
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    loaders.finish(1)
    manager.fail(ServableId("m", 1), ServingError(Code.UNAVAILABLE, "gone"))
    await spin()
    assert manager.statuses("m") == (VersionStatus(1, END, Code.UNAVAILABLE, "gone"),)
    assert AVAILABLE not in [state for _, state, _ in log]


async def test_failure_is_ignored_when_the_version_is_not_up(manager, spin):
    error = ServingError(Code.UNAVAILABLE, "late")
    manager.fail(ServableId("unknown", 1), error)
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    handle = manager.serving_map.lookup(ModelSpec("m"))
    manager.set_aspired_versions("m", {})
    manager.fail(ServableId("m", 1), error)
    handle.release()
    await spin()
    assert manager.statuses("m") == (VersionStatus(1, END),)


async def test_version_ends_with_the_error_when_its_unload_fails(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    loaders.last(1).unload_error = ServingError(Code.INTERNAL, "stuck")
    manager.set_aspired_versions("m", {})
    await spin()
    assert manager.statuses("m") == (VersionStatus(1, END, Code.INTERNAL, "stuck"),)


async def test_close_unloads_everything_and_takes_no_more(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1, 2))
    await spin()
    await manager.close()
    assert states(manager) == {2: END, 1: END}
    assert all(loader.unloads == 1 for loader in loaders.made)
    with pytest.raises(ServingError) as caught:
        manager.set_aspired_versions("m", aspired(3))
    assert caught.value.code is Code.FAILED_PRECONDITION


async def test_close_unloads_all_the_same_when_a_request_does_not_end(manager, loaders, spin):
    manager.set_aspired_versions("m", aspired(1))
    await spin()
    handle = manager.serving_map.lookup(ModelSpec("m"))
    await manager.close(drain_timeout_s=0.01)
    assert (states(manager), loaders.last(1).unloads) == ({1: END}, 1)
    handle.release()
