"""The core on real folders, with fake loaders: changes, refusals, labels, waiting, closing."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.history import History
from jupyter_tfserve.lifecycle.policy import All, Latest, Specific
from jupyter_tfserve.lifecycle.resolve import resolve_base_path
from jupyter_tfserve.lifecycle.states import LifecycleState, VersionStatus
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.options import LifecycleOptions
from jupyter_tfserve.types import ModelSpec, ServableId

AVAILABLE, END = LifecycleState.AVAILABLE, LifecycleState.END
WAIT_S = 20.0


@pytest.fixture
async def make_core(tmp_path, loaders):
    made = []

    def make(state_dir: Path | None = tmp_path / "state", settle_s: float = 1.0, **options) -> ServerCore:
        defaults = {"file_system_poll_wait_seconds": 0.01, "max_num_load_retries": 0}
        history = History(state_dir)
        made.append(
            ServerCore(
                loaders,
                LifecycleOptions(**(defaults | options)),
                StateStore(state_dir),
                history,
                settle_s=settle_s,
            )
        )
        return made[-1]

    yield make
    loaders.is_holding = False
    for core in made:
        await core.close(keep_models=True, drain_timeout_s=1)


@pytest.fixture
async def core(make_core):
    made = make_core()
    await made.start()
    return made


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "models"


def config(base: Path, name: str = "m", **fields) -> ModelConfig:
    return ModelConfig(name, str(base / name), **fields)


def served(core: ServerCore, name: str = "m") -> set[int]:
    return set(core.serving_map.available(name))


async def refusal(change) -> ServingError:
    with pytest.raises(ServingError) as caught:
        await asyncio.wait_for(change, WAIT_S)
    return caught.value


# Configurations.


async def test_config_returns_when_its_models_are_available(core, base, make_version):
    make_version(base / "m", 1)
    make_version(base / "n", 7)
    await core.apply_config([config(base), config(base, "n")])
    assert (served(core), served(core, "n")) == ({1}, {7})


async def test_config_waits_for_a_version_when_there_is_none_yet(core, base, make_version, reach):
    applying = asyncio.create_task(core.apply_config([config(base)]))
    await reach(lambda: core.states() and core.states()[0].problem)
    assert not applying.done()
    make_version(base / "m", 1)
    await asyncio.wait_for(applying, WAIT_S)
    assert served(core) == {1}
    assert core.states()[0].problem is None


async def test_config_fails_in_upstream_words_when_a_new_model_fails(core, base, loaders, make_version):
    for name in ("m", "n", "o"):
        make_version(base / name, 1)
    loaders.fail(1, "no graph")
    first = await refusal(core.apply_config([config(base)]))
    assert (first.code, first.message) == (
        Code.UNKNOWN,
        "1 servable(s) did not become available: "
        "{{{name: m version: 1} due to error: NOT_FOUND: no graph}, }",
    )
    loaders.fail(1, "a", name="n")
    loaders.fail(1, "b", name="o")
    later = await refusal(core.apply_config([config(base), config(base, "n"), config(base, "o")]))
    assert later.message == (
        "2 model(s) did not become available: {{{name: n version: 1} due to error: NOT_FOUND: a}, "
        "{{name: o version: 1} due to error: NOT_FOUND: b}, }"
    )
    assert [state.config.name for state in core.states()] == ["m", "n", "o"]


async def test_config_unloads_the_models_that_it_leaves_out_and_loads_them_again(
    core, base, loaders, make_version, reach
):
    make_version(base / "m", 1)
    await core.apply_config([config(base)])
    await core.apply_config([])
    await reach(lambda: core.model_status(ModelSpec("m")) == (VersionStatus(1, END),))
    assert core.states() == ()
    await core.apply_config([config(base)])
    assert (served(core), len(loaders.made)) == ({1}, 2)


async def test_config_switches_versions_when_the_base_path_changes_and_back(core, base, make_version, reach):
    make_version(base / "m", 1)
    make_version(base / "other", 1)
    make_version(base / "other", 2)
    for path, versions in (("m", {1}), ("other", {2}), ("m", {1})):
        await core.apply_config([ModelConfig("m", str(base / path))])
        await reach(lambda wanted=versions: served(core) == wanted)


@pytest.mark.parametrize(
    "models",
    [
        [ModelConfig("m", "/models/m"), ModelConfig("m", "/models/m")],
        [ModelConfig("n", "/models/n"), ModelConfig("o", "relative")],
        [ModelConfig("n", "/models/n", platform="torch")],
        [ModelConfig("n", "/models/n", labels={"stable": 1})],
    ],
)
async def test_config_leaves_no_trace_when_it_is_rejected(core, base, make_version, models):
    make_version(base / "m", 1)
    await core.apply_config([config(base)])
    await core.set_label("m", "stable", 1)
    before = (core.states(), StateStore(base.parent / "state").load())
    await refusal(core.apply_config(models))
    assert (core.states(), StateStore(base.parent / "state").load()) == before
    await core.apply_config([config(base, labels={"stable": 1})])


async def test_config_replaces_every_label(core, base, make_version):
    make_version(base / "m", 1)
    await core.apply_config([config(base)])
    await core.set_label("m", "old", 1)
    await core.apply_config([config(base, labels={"new": 1})])
    assert core.serving_map.labels("m") == {"new": 1}


async def test_first_config_with_labels_is_refused_unless_the_flag_is_set(make_core, base, make_version):
    make_version(base / "m", 1)
    strict, lenient = make_core(None), make_core(None, allow_version_labels_for_unavailable_models=True)
    error = await refusal(strict.apply_config([config(base, labels={"stable": 1})]))
    assert error.code is Code.FAILED_PRECONDITION
    await lenient.apply_config([config(base, labels={"stable": 1, "later": 2})])
    assert lenient.serving_map.lookup(ModelSpec("m", label="stable")).id.version == 1
    with pytest.raises(ServingError, match="Specific\\(m, 2\\)"):
        lenient.serving_map.lookup(ModelSpec("m", label="later"))


async def test_changes_are_made_one_after_another(core, base, make_version):
    for name in ("a", "b", "c", "d"):
        make_version(base / name, 1)
    folders = [resolve_base_path(str(base / name)) for name in ("a", "b", "c", "d")]
    await asyncio.gather(*(core.open_models(folder) for folder in folders))
    assert {state.config.name for state in core.states()} == {"a", "b", "c", "d"}
    assert len(StateStore(base.parent / "state").load().state.models) == 4


async def test_change_is_whole_when_its_caller_gives_up(core, base, make_version, reach):
    make_version(base / "m", 1)
    opening = asyncio.create_task(core.open_models(resolve_base_path(str(base))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    opening.cancel()
    await reach(lambda: served(core) == {1})
    assert [model.name for model in StateStore(base.parent / "state").load().state.models] == ["m"]


async def test_change_is_refused_and_nothing_changes_when_the_state_cannot_be_saved(
    core, base, make_version, monkeypatch
):
    make_version(base / "m", 1)
    await core.open_models(resolve_base_path(str(base)))
    await core.wait_version("m", 1, WAIT_S)
    await core.set_label("m", "stable", 1)

    def full(_store, _state):
        raise ServingError(Code.RESOURCE_EXHAUSTED, "No space left on device")

    monkeypatch.setattr(StateStore, "save", full)
    for change in (
        core.set_label("m", "canary", 1),
        core.remove_label("m", "stable"),
        core.remove_model("m"),
        core.set_policy("m", All()),
        core.apply_config([]),
    ):
        assert (await refusal(change)).code is Code.RESOURCE_EXHAUSTED
    assert core.serving_map.labels("m") == {"stable": 1}
    assert core.states()[0].config.policy == Latest()
    assert served(core) == {1}


# Versions.


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


# Labels.


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


# Opening, closing, waiting, telling.


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


async def test_history_tells_what_happened(core, base, loaders, make_version, reach):
    make_version(base / "m", 1)
    await core.apply_config([config(base)])
    loaders.fail(2, "broken")
    make_version(base / "m", 2)
    await core.wait_version("m", 2, WAIT_S)
    core.manager.fail(ServableId("m", 1), ServingError(Code.UNAVAILABLE, "killed by signal 9"))
    await reach(lambda: core.model_status(ModelSpec("m", version=1))[0].state is END)
    events = [(event.kind, event.version, event.detail) for event in reversed(await core._history.events())]
    assert events == [
        ("config", None, "serve m"),
        ("load", 1, ""),
        ("error", 2, "broken"),
        ("crash", 1, "killed by signal 9"),
        ("unload", 1, "killed by signal 9"),
    ]


async def test_corrupt_state_is_noted_and_nothing_is_served(make_core, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "models.json").write_text("{")
    core = make_core()
    notes = await core.start()
    assert (len(notes), core.states()) == (1, ())


async def test_close_unloads_everything_and_refuses_changes(core, base, loaders, make_version):
    make_version(base / "m", 1)
    await core.apply_config([config(base)])
    await core.close()
    assert loaders.last(1).unloads == 1
    assert (await refusal(core.apply_config([]))).code is Code.FAILED_PRECONDITION
    await core.close()


async def test_close_keeps_the_models_for_the_next_start_when_asked_to(make_core, base, make_version):
    first, second = make_core(), make_core()
    make_version(base / "m", 1)
    await first.apply_config([config(base)])
    await first.close(keep_models=True)
    await second.start()
    assert (await second.wait_version("m", 1, WAIT_S)).state is AVAILABLE


async def test_close_lets_a_config_go_that_waits_for_its_first_version(core, base, reach):
    applying = asyncio.create_task(core.apply_config([config(base)]))
    await reach(core.states)
    await core.close()
    await asyncio.wait_for(applying, WAIT_S)
