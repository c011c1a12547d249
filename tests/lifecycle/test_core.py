"""The core on real folders, with fake loaders: configurations, refusals, history, closing."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.policy import All, Latest
from jupyter_tfserve.lifecycle.resolve import resolve_base_path
from jupyter_tfserve.lifecycle.states import LifecycleState, VersionStatus
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.types import ModelSpec, ServableId
from tests.lifecycle.core_calls import WAIT_S, config, refusal, served

AVAILABLE, END = LifecycleState.AVAILABLE, LifecycleState.END


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
        raise ServingError(Code.FAILED_PRECONDITION, "No space left on device")

    monkeypatch.setattr(StateStore, "save", full)
    for change in (
        core.set_label("m", "canary", 1),
        core.remove_label("m", "stable"),
        core.remove_model("m"),
        core.set_policy("m", All()),
        core.apply_config([]),
    ):
        assert (await refusal(change)).message == "No space left on device"
    assert core.serving_map.labels("m") == {"stable": 1}
    assert core.states()[0].config.policy == Latest()
    assert served(core) == {1}


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
