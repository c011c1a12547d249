"""The core on real folders, with fake loaders: labels that move, go and come back, and models opened again."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.policy import All
from jupyter_tfserve.lifecycle.resolve import resolve_base_path
from jupyter_tfserve.lifecycle.states import LifecycleState
from jupyter_tfserve.types import ModelSpec, ServableId
from tests.lifecycle.core_calls import WAIT_S, config, refusal, served

AVAILABLE, END = LifecycleState.AVAILABLE, LifecycleState.END


async def test_label_moves_and_tells_where_it_was(core, base, make_version):
    for version in (1, 2):
        make_version(base / "m", version)
    await core.apply_config([config(base, policy=All())])
    for version in (1, 2):
        await core.wait_version("m", version, WAIT_S)
    assert await core.set_label("m", "stable", 1) is None
    assert await core.set_label("m", "stable", 2) == 1
    assert core.serving_map.lookup(ModelSpec("m", label="stable")).id == ServableId("m", 2)
    assert await core.remove_label("m", "stable") == 2
    with pytest.raises(ServingError, match="Unrecognized servable version label: stable"):
        core.serving_map.lookup(ModelSpec("m", label="stable"))
    kinds = [(event.kind, event.version) for event in await core._history.events(3)]
    assert kinds == [("label", 2), ("label", 2), ("label", 1)]


async def test_label_is_refused_when_its_version_or_model_is_not_there(core, base, make_version):
    make_version(base / "m", 1)
    await core.apply_config([config(base)])
    assert (await refusal(core.set_label("m", "stable", 2))).code is Code.FAILED_PRECONDITION
    assert (await refusal(core.set_label("x", "stable", 1))).code is Code.NOT_FOUND
    assert (await refusal(core.remove_label("m", "stable"))).code is Code.NOT_FOUND
    assert (await refusal(core.remove_label("x", "stable"))).code is Code.NOT_FOUND
    assert core.serving_map.labels("m") == {}


async def test_label_stays_when_its_version_is_unloaded(core, base, make_version, reach):
    make_version(base / "m", 1)
    await core.apply_config([config(base)])
    await core.set_label("m", "stable", 1)
    make_version(base / "m", 2)
    await reach(lambda: served(core) == {2})
    with pytest.raises(ServingError, match="Servable not found for request: Specific\\(m, 1\\)"):
        core.serving_map.lookup(ModelSpec("m", label="stable"))


@pytest.mark.parametrize("closing", ["model", "server"])
async def test_label_comes_back_when_its_version_is_available_again(
    make_core, base, loaders, make_version, reach, closing
):
    first = make_core()
    for version in (1, 2):
        make_version(base / "m", version)
    await first.open_models(resolve_base_path(str(base)))
    await first.set_policy("m", All())
    for version in (1, 2):
        await first.wait_version("m", version, WAIT_S)
    await first.set_label("m", "stable", 1)
    second = first
    if closing == "model":
        await first.remove_model("m")
        await reach(lambda: served(first) == set())
    else:
        await first.close()
        second = make_core()
        await second.start()
    assert second.states() == ()
    loaders.is_holding = True
    await second.open_models(resolve_base_path(str(base)))
    await reach(lambda: ServableId("m", 1) in loaders.held)
    assert (second.states()[0].labels, second.states()[0].config.policy) == ({}, All())
    with pytest.raises(ServingError, match="Unrecognized servable version label: stable"):
        second.serving_map.lookup(ModelSpec("m", label="stable"))
    loaders.finish(1)
    await second.wait_version("m", 1, WAIT_S)
    assert second.serving_map.lookup(ModelSpec("m", label="stable")).id.version == 1
    assert second.states()[0].labels == {"stable": 1}


@pytest.mark.parametrize("change", ["label", "config"])
async def test_label_is_seen_at_once_when_it_is_set_while_it_waits_to_come_back(
    make_core, base, loaders, make_version, reach, change
):
    core = make_core(allow_version_labels_for_unavailable_models=True)
    for version in (1, 2):
        make_version(base / "m", version)
    await core.apply_config([config(base, policy=All(), labels={"stable": 1})])
    await core.remove_model("m")
    await reach(lambda: served(core) == set())
    loaders.is_holding = True
    await core.open_models(resolve_base_path(str(base)))
    await reach(lambda: len(loaders.held) == 2)
    loaders.finish(2)
    await core.wait_version("m", 2, WAIT_S)
    assert core.serving_map.labels("m") == {}
    if change == "label":
        assert await core.set_label("m", "stable", 2) is None
    else:
        await core.apply_config([config(base, policy=All(), labels={"stable": 2})])
    assert core.serving_map.lookup(ModelSpec("m", label="stable")).id.version == 2


async def test_label_is_known_at_once_after_a_crash(make_core, base, loaders, make_version):
    first = make_core()
    make_version(base / "m", 1)
    await first.apply_config([config(base)])
    await first.set_label("m", "stable", 1)
    loaders.is_holding = True
    second = make_core()  # the state on disk is what a killed server leaves
    await second.start()
    with pytest.raises(ServingError, match="Servable not found for request: Specific\\(m, 1\\)"):
        second.serving_map.lookup(ModelSpec("m", label="stable"))
    assert second.first_load_pending(ModelSpec("m"))


async def test_opening_twice_is_the_same_as_once(core, base, loaders, make_version):
    make_version(base / "m", 1)
    assert await core.open_models(resolve_base_path(str(base))) == ("m",)
    assert await core.open_models(resolve_base_path(str(base / "m"))) == ()
    await core.wait_version("m", 1, WAIT_S)
    assert (len(core.states()), len(loaders.made)) == (1, 1)


async def test_opening_is_refused_when_the_name_is_taken(core, base, make_version):
    make_version(base / "m", 1)
    make_version(base / "b" / "m", 1)
    await core.open_models(resolve_base_path(str(base / "m")))
    error = await refusal(core.open_models(resolve_base_path(str(base / "b" / "m"))))
    assert error.code is Code.ALREADY_EXISTS


async def test_single_version_folder_is_served_and_survives_a_restart(make_core, base, make_version):
    folder = make_version(base, "exported")
    first, second = make_core(), make_core()
    await first.open_models(resolve_base_path(str(folder)))
    assert (await first.wait_version("exported", 1, WAIT_S)).state is AVAILABLE
    await second.start()
    assert (await second.wait_version("exported", 1, WAIT_S)).state is AVAILABLE
