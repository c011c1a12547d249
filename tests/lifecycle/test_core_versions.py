"""The core on real folders, with fake loaders: which versions come and go, and who waits for their first load."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.policy import All, Latest, Specific
from jupyter_tfserve.lifecycle.resolve import resolve_base_path
from jupyter_tfserve.lifecycle.states import LifecycleState, VersionStatus
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.types import ModelSpec
from tests.lifecycle.core_calls import WAIT_S, config, refusal, served

AVAILABLE, END = LifecycleState.AVAILABLE, LifecycleState.END


async def test_newer_version_takes_over_and_the_failed_one_does_not(core, base, loaders, make_version, reach):
    make_version(base / "m", 1)
    await core.apply_config([config(base)])
    loaders.fail(2, "broken")
    make_version(base / "m", 2)
    assert (await core.wait_version("m", 2, WAIT_S)).message == "broken"
    assert served(core) == {1}
    make_version(base / "m", 3)
    await reach(lambda: served(core) == {3})


async def test_failed_version_is_tried_again_when_its_files_are_repaired(
    core, base, loaders, make_version, reach
):
    loaders.fail(1, "broken")
    make_version(base / "m", 1)
    await refusal(core.apply_config([config(base)]))
    make_version(base / "m", 1, content=b"repaired")
    await reach(lambda: served(core) == {1})


async def test_wait_version_waits_for_repaired_files_to_settle(core, base, loaders, make_version):
    loaders.fail(1, "broken")
    make_version(base / "m", 1)
    await refusal(core.apply_config([config(base)]))
    make_version(base / "m", 1, age_s=0, content=b"repaired")
    await core.refresh("m")
    assert await core.wait_version("m", 1, WAIT_S) == VersionStatus(1, AVAILABLE)


async def test_model_without_versions_unloads_what_it_had(core, base, make_version, reach):
    folder = make_version(base / "m", 1)
    await core.apply_config([config(base)])
    shutil.rmtree(folder)
    await reach(lambda: served(core) == set())


async def test_missing_base_path_stops_no_other_model_and_unloads_nothing(core, base, make_version, reach):
    make_version(base / "m", 1)
    make_version(base / "gone", 1)
    await core.apply_config([config(base), config(base, "gone")])
    shutil.rmtree(base / "gone")
    make_version(base / "m", 2)
    await reach(lambda: served(core) == {2})
    await reach(lambda: core.states()[1].problem)
    assert served(core, "gone") == {1}
    make_version(base / "gone", 2)
    await reach(lambda: served(core, "gone") == {2})


async def test_folder_is_looked_at_once_when_the_period_is_zero(make_core, base, make_version):
    core = make_core(file_system_poll_wait_seconds=0)
    make_version(base / "m", 1)
    await core.apply_config([config(base)])
    make_version(base / "m", 2)
    assert (await refusal(core.wait_version("m", 2, 0.2))).code is Code.DEADLINE_EXCEEDED
    await core.refresh("m")
    assert (await core.wait_version("m", 2, WAIT_S)).state is AVAILABLE


async def test_fresh_version_is_loaded_when_the_period_is_zero(make_core, base, make_version):
    core = make_core(file_system_poll_wait_seconds=0, settle_s=0.1)
    make_version(base / "m", 1, age_s=0)
    await asyncio.wait_for(core.apply_config([config(base)]), WAIT_S)
    assert served(core) == {1}


async def test_folder_is_never_looked_at_by_itself_when_the_period_is_negative(make_core, base, make_version):
    core = make_core(file_system_poll_wait_seconds=-1)
    make_version(base / "m", 1)
    await core.open_models(resolve_base_path(str(base)))
    assert not core.first_load_pending(ModelSpec("m"))
    assert (await refusal(core.wait_version("m", 1, 0.1))).code is Code.DEADLINE_EXCEEDED
    await core.refresh("m")
    assert (await core.wait_version("m", 1, WAIT_S)).state is AVAILABLE


async def test_policy_brings_other_versions(core, base, make_version, reach):
    for version in (1, 2, 3):
        make_version(base / "m", version)
    await core.apply_config([config(base)])
    for policy, versions in ((All(), {1, 2, 3}), (Specific((2,)), {2}), (Latest(2), {2, 3})):
        await core.set_policy("m", policy)
        await reach(lambda wanted=versions: served(core) == wanted)
    assert StateStore(base.parent / "state").load().state.models[0].policy == Latest(2)


async def test_version_is_held_for_a_label_when_the_policy_leaves_it_out(core, base, make_version, reach):
    for version in (1, 2):
        make_version(base / "m", version)
    await core.open_models(resolve_base_path(str(base)))
    await core.wait_version("m", 2)
    core.hold("m", 1)
    assert await core.try_again("m", 1)
    await core.wait_version("m", 1)
    await core.set_label("m", "live", 1)
    assert served(core) == {1, 2}
    await core.set_label("m", "live", 2)  # the label was all that still kept it
    await reach(lambda: served(core) == {2})


async def test_refresh_raises_not_found_when_there_is_nothing_to_look_at(core, base, make_version):
    assert (await refusal(core.refresh("m"))).code is Code.NOT_FOUND
    folder = make_version(base / "m", 1).parent
    await core.apply_config([config(base)])
    shutil.rmtree(folder)
    error = await refusal(core.refresh("m"))
    assert (error.code, str(folder) in error.message) == (Code.NOT_FOUND, True)


async def test_first_load_is_pending_until_a_version_is_up_or_failed(core, base, loaders, make_version):
    assert not core.first_load_pending(ModelSpec("m"))
    loaders.is_holding = True
    make_version(base / "m", 1)
    await core.open_models(resolve_base_path(str(base)))
    assert core.first_load_pending(ModelSpec("m"))
    waiting = asyncio.create_task(core.wait_first_load(ModelSpec("m"), WAIT_S))
    assert (await refusal(core.wait_first_load(ModelSpec("m"), 0.01))).code is Code.DEADLINE_EXCEEDED
    loaders.finish(1)
    await waiting
    assert not core.first_load_pending(ModelSpec("m"))
    assert served(core) == {1}


async def test_first_load_is_pending_for_a_named_version_until_that_version_is_up(
    core, base, loaders, make_version, reach
):
    for version in (1, 2):
        make_version(base / "m", version)
    loaders.is_holding = True
    await core.open_models(resolve_base_path(str(base)))
    await core.set_policy("m", All())
    await reach(lambda: {servable.version for servable in loaders.held} == {1, 2})
    loaders.finish(2)
    await core.wait_version("m", 2, WAIT_S)
    assert not core.first_load_pending(ModelSpec("m"))
    assert not core.first_load_pending(ModelSpec("m", 2))
    assert core.first_load_pending(ModelSpec("m", 1))
    assert not core.first_load_pending(ModelSpec("m", 7))
    loaders.finish(1)
    await core.wait_first_load(ModelSpec("m", 1), WAIT_S)
    assert core.serving_map.lookup(ModelSpec("m", 1)).id.version == 1


async def test_first_load_is_pending_while_the_first_version_settles(make_core, base, make_version):
    core = make_core(settle_s=0.2)
    make_version(base / "m", 1, age_s=0)
    await core.open_models(resolve_base_path(str(base)))
    assert core.first_load_pending(ModelSpec("m"))
    await core.wait_first_load(ModelSpec("m"), WAIT_S)
    assert served(core) == {1}


async def test_first_load_is_not_pending_when_there_is_nothing_to_load(core, base, make_version):
    (base / "m").mkdir(parents=True)
    await core.open_models(resolve_base_path(str(base / "m")))
    assert not core.first_load_pending(ModelSpec("m"))


async def test_first_load_is_over_when_it_failed_or_the_model_is_removed(core, base, loaders, make_version):
    loaders.fail(1, "broken")
    make_version(base / "m", 1)
    await core.open_models(resolve_base_path(str(base)))
    await core.wait_first_load(ModelSpec("m"), WAIT_S)
    assert served(core) == set()
    await core.remove_model("m")
    assert not core.first_load_pending(ModelSpec("m"))


async def test_model_status_is_upstreams(core, base, make_version, reach):
    make_version(base / "m", 1)
    make_version(base / "m", 5)
    await core.apply_config([config(base)])
    await core.set_policy("m", Specific((1,)))
    await reach(lambda: served(core) == {1} and core.model_status(ModelSpec("m"))[0].state is END)
    both = (VersionStatus(5, END), VersionStatus(1, AVAILABLE))
    assert core.model_status(ModelSpec("m")) == both
    assert core.model_status(ModelSpec("m", label="ignored")) == both
    assert core.model_status(ModelSpec("m", version=5)) == both[:1]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec("x"), "Could not find any versions of model x"),
        (ModelSpec(""), "Could not find any versions of model "),
        (ModelSpec("x", version=3), "Could not find version 3 of model x"),
        (ModelSpec("x", version=0), "Could not find version 0 of model x"),
    ],
)
async def test_model_status_is_not_found_in_upstream_words(core, spec, message):
    with pytest.raises(ServingError) as caught:
        core.model_status(spec)
    assert (caught.value.code, caught.value.message) == (Code.NOT_FOUND, message)
