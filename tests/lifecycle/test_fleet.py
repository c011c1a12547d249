"""The version below one that is given up as it loads: looked for at once, whatever the period; its callers wait."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ModelDied
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.fleet import ModelFleet
from jupyter_tfserve.lifecycle.manager import Manager
from jupyter_tfserve.lifecycle.quarantine import MAX_ENGINE_DEATHS, MAX_LOAD_DEATHS, Quarantine
from jupyter_tfserve.lifecycle.states import LifecycleState
from jupyter_tfserve.options import LifecycleOptions
from jupyter_tfserve.types import ModelSpec, ServableId
from tests.lifecycle.manager_calls import states

AVAILABLE, END = LifecycleState.AVAILABLE, LifecycleState.END
POISON = ServableId("m", 2)
DIED = ModelDied(Code.INTERNAL, "worker process died while loading (signal 6, aborted)")


@pytest.fixture
def base(tmp_path, make_version):
    for version in (1, 2):
        make_version(tmp_path / "m", version)
    return tmp_path / "m"


@pytest.fixture
async def serve(loaders, clock, base):
    """Watches `base` every `period_s` of a time that stands still."""
    made = []

    def served(period_s: float, quarantine: Quarantine | None = None) -> tuple[Manager, ModelFleet]:
        manager = Manager(loaders, LifecycleOptions(load_retry_interval_micros=0), clock, quarantine)
        fleet = ModelFleet(manager, clock, period_s, settle_s=1.0)
        made.append((manager, fleet))
        fleet.serve([ModelConfig("m", str(base))])
        return manager, fleet

    yield served
    loaders.is_holding = False
    for manager, fleet in made:
        fleet.stop()
        await manager.close(drain_timeout_s=1)


def pending_when_over(manager: Manager, fleet: ModelFleet) -> list[bool]:
    """Whether a caller would wait, at each end of the poison."""
    asked = []

    def on_state(servable, _before, after, _text) -> None:
        if servable == POISON and after is END:
            asked.append(fleet.first_load_pending(ModelSpec("m")) or fleet.next_load_pending("m"))

    manager.add_listener(on_state)
    return asked


@pytest.mark.parametrize("period_s", [30.0, 0.0])
async def test_version_below_is_loaded_at_once_when_the_newest_dies_as_it_loads(
    serve, loaders, reach, period_s
):
    loaders.script[POISON] += [DIED] * MAX_LOAD_DEATHS
    manager, fleet = serve(period_s)
    asked = pending_when_over(manager, fleet)
    await reach(lambda: states(manager) == {2: END, 1: AVAILABLE})
    assert asked == [True]
    assert fleet.first_outcome("m").version == 1
    assert not fleet.first_load_pending(ModelSpec("m"))


@pytest.mark.parametrize("period_s", [30.0, 0.0])
async def test_version_below_is_loaded_at_once_when_the_newest_is_given_up_as_its_load_begins(
    serve, base, clock, loaders, reach, make_version, period_s
):
    manager, _ = serve(period_s)
    await reach(lambda: states(manager) == {2: AVAILABLE})
    fingerprint = manager.live_versions("m")[2].fingerprint
    quarantine = Quarantine()
    for _ in range(MAX_ENGINE_DEATHS):
        assert await quarantine.load_begins(POISON, fingerprint) is None
    again, served = serve(period_s, quarantine)
    asked = pending_when_over(again, served)
    await reach(lambda: states(again) == {2: END, 1: AVAILABLE})
    assert asked == [True]
    assert loaders.last(2).loads == 0
    assert served.first_outcome("m").version == 1


async def test_first_load_is_over_when_no_version_is_below_the_one_given_up(serve, base, loaders, reach):
    (base / "1" / "saved_model.pb").unlink()
    (base / "1").rmdir()
    loaders.script[POISON] += [DIED] * MAX_LOAD_DEATHS
    manager, fleet = serve(30.0)
    await reach(lambda: fleet.first_outcome("m") is not None)
    assert fleet.first_outcome("m").state is END
    assert not fleet.first_load_pending(ModelSpec("m"))
    await reach(lambda: not fleet.next_load_pending("m"))
    assert states(manager) == {2: END}
