"""A poison version in a whole core: it ends, the one below serves, and only a change brings it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_tfserve.errors import Code, ModelDied, ServingError
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.history import History
from jupyter_tfserve.lifecycle.policy import Specific
from jupyter_tfserve.lifecycle.resolve import resolve_base_path
from jupyter_tfserve.lifecycle.states import LifecycleState
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.options import LifecycleOptions
from jupyter_tfserve.types import ModelSpec, ServableId

AVAILABLE, END = LifecycleState.AVAILABLE, LifecycleState.END
DIED = ModelDied(Code.INTERNAL, "worker process died while loading (signal 6, aborted)")
REASON = "Quarantined after 2 deaths while it was loaded; the last: " + DIED.message


@pytest.fixture
async def start_core(tmp_path, loaders):
    made = []

    async def start() -> ServerCore:
        options = LifecycleOptions(0.01, max_num_load_retries=5, load_retry_interval_micros=0)
        core = ServerCore(loaders, options, StateStore(tmp_path / "state"), History(None))
        made.append(core)
        await core.start()
        return core

    yield start
    for core in made:
        await core.close(keep_models=True, drain_timeout_s=1)


@pytest.fixture
def base(tmp_path, make_version) -> Path:
    for version in (1, 2):
        make_version(tmp_path / "m", version)
    return tmp_path / "m"


def states(core: ServerCore) -> dict[int, LifecycleState]:
    return {version.version: version.state for model in core.states() for version in model.versions}


def poison(loaders, version: int, deaths: int) -> None:
    loaders.script[ServableId("m", version)] += [DIED] * deaths


async def open_poisoned(core, base, loaders, reach) -> None:
    poison(loaders, 2, deaths=9)
    await core.open_models(resolve_base_path(str(base)))
    await reach(lambda: states(core) == {2: END, 1: AVAILABLE})


async def test_version_below_serves_when_the_newest_dies_twice_at_load(start_core, base, loaders, reach):
    core = await start_core()
    await open_poisoned(core, base, loaders, reach)
    (status,) = core.model_status(ModelSpec("m", 2))
    assert (status.code, status.message) == (Code.INTERNAL, REASON)
    assert loaders.last(2).loads == 2


async def test_version_is_not_loaded_again_when_the_engine_restarts(start_core, base, loaders, reach):
    first = await start_core()
    await open_poisoned(first, base, loaders, reach)
    await first.close(keep_models=True)
    core = await start_core()
    await reach(lambda: states(core) == {2: END, 1: AVAILABLE})
    assert loaders.last(2).loads == 0
    (status,) = core.model_status(ModelSpec("m", 2))
    assert status.message == REASON
    await reach(lambda: not core.first_load_pending(ModelSpec("m")))


async def test_version_is_loaded_again_when_a_person_asks(start_core, base, loaders, reach):
    core = await start_core()
    await open_poisoned(core, base, loaders, reach)
    loaders.script.clear()
    assert await core.try_again("m", 2)
    await reach(lambda: states(core) == {2: AVAILABLE, 1: END})


async def test_quarantine_is_lifted_though_the_policy_wants_another_version(start_core, base, loaders, reach):
    core = await start_core()
    await open_poisoned(core, base, loaders, reach)
    await core.set_policy("m", Specific((1,)))
    loaders.script.clear()
    assert not await core.try_again("m", 2)
    await core.set_policy("m", Specific((1, 2)))
    await reach(lambda: states(core) == {2: AVAILABLE, 1: AVAILABLE})


async def test_version_is_loaded_again_when_its_files_change(start_core, base, loaders, reach, make_version):
    core = await start_core()
    await open_poisoned(core, base, loaders, reach)
    loaders.script.clear()
    make_version(base, 2, content=b"mended")
    await reach(lambda: states(core) == {2: AVAILABLE, 1: END})


async def test_version_below_comes_back_when_the_newest_is_given_up_at_run(start_core, base, reach):
    core = await start_core()
    await core.open_models(resolve_base_path(str(base)))
    await reach(lambda: states(core) == {2: AVAILABLE})
    core.give_up(ServableId("m", 2), ServingError(Code.UNAVAILABLE, "it died"))
    await reach(lambda: states(core) == {2: END, 1: AVAILABLE})
    assert core.model_status(ModelSpec("m", 2))[0].message == "it died"
    await core.close(keep_models=True)
    again = await start_core()
    await reach(lambda: states(again) == {2: END, 1: AVAILABLE})
