"""The watch of one folder: its pace, and looks that are void or go wrong."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.source import Look, Source
from jupyter_tfserve.lifecycle.watch import HOLD_S, ModelWatch, WatchContext


@pytest.fixture
async def watching(clock):
    """Starts watches; what they publish is in `published`."""
    watches = []

    def start(path, period_s: float = 1.0, settle_s: float = 1.0) -> ModelWatch:
        context = WatchContext(
            lambda _model, look: published.append(look), lambda _model: {}, clock, period_s, settle_s
        )
        watches.append(ModelWatch(ModelConfig("m", str(path)), context))
        watches[-1].start()
        return watches[-1]

    published: list[Look | None] = []
    start.published = published
    yield start
    for watch in watches:
        watch.stop()


@pytest.mark.parametrize(
    ("period_s", "age_s", "pause_s"),
    [(5.0, 60, 5.0), (5.0, 0, 0.5), (0.1, 0, 0.1), (0.0, 0, 0.5), (0.0, 60, None)],
)
async def test_next_look_comes_after_the_period_or_sooner_when_files_settle(
    watching, tmp_path, clock, make_version, reach, period_s, age_s, pause_s
):
    make_version(tmp_path, 1, age_s=age_s)
    watching(tmp_path, period_s, settle_s=0.5)
    await reach(lambda: watching.published)
    for _ in range(5):
        await asyncio.sleep(0)
    deadlines = [deadline for deadline, woken in clock.sleeps if not woken.done()]
    assert deadlines == ([] if pause_s is None else [clock.now + pause_s])


async def test_watch_goes_on_when_a_look_goes_wrong(
    watching, tmp_path, clock, make_version, reach, monkeypatch
):
    def broken(*_arguments):
        raise RuntimeError("/secret")

    make_version(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Source, "look", broken)
        watch = watching(tmp_path)
        await reach(lambda: clock.sleepers)
        assert (watch.problem.code, "secret" in watch.problem.message) == (Code.INTERNAL, False)
    await clock.advance(1.0)
    await reach(lambda: len(watching.published) == 2)
    assert watching.published[0] is None
    assert list(watching.published[1].aspired) == [1]
    assert watch.problem is None


async def test_held_version_is_wanted_for_a_while_when_no_label_comes(
    watching, tmp_path, clock, make_version, reach
):
    for version in (1, 2):
        make_version(tmp_path, version)
    watch = watching(tmp_path, period_s=0.0)
    watch.hold(1)
    await reach(lambda: watching.published and set(watching.published[-1].aspired) == {1, 2})
    await reach(lambda: clock.sleepers)
    await clock.advance(HOLD_S)
    await reach(lambda: set(watching.published[-1].aspired) == {2})


async def test_look_raises_what_is_wrong_with_the_folder(watching, tmp_path):
    watch = watching(tmp_path / "nowhere")
    with pytest.raises(ServingError) as caught:
        await watch.look()
    assert caught.value.code is Code.NOT_FOUND


@pytest.fixture
def slow_look(monkeypatch):
    """Makes looks wait in their thread; `gate` lets them go, `entered` says that one is there."""
    real, gate, entered = Source.look, threading.Event(), threading.Event()

    def look(source, *arguments):
        entered.set()
        assert gate.wait(20)
        return real(source, *arguments)

    monkeypatch.setattr(Source, "look", look)
    yield gate, entered
    gate.set()


async def test_look_at_the_old_folder_is_void_when_the_folder_changes_meanwhile(
    watching, tmp_path, make_version, reach, slow_look
):
    gate, entered = slow_look
    make_version(tmp_path / "old", 1)
    make_version(tmp_path / "new", 2)
    watch = watching(tmp_path / "old")
    await reach(entered.is_set)
    watch.reconfigure(ModelConfig("m", str(tmp_path / "new")))
    looking = asyncio.create_task(watch.look())
    gate.set()
    await asyncio.wait_for(looking, 20)
    assert [list(look.aspired) for look in watching.published] == [[2]] * len(watching.published)
    assert watching.published


async def test_look_hands_nothing_over_when_the_watch_is_stopped_meanwhile(
    watching, tmp_path, make_version, reach, slow_look
):
    gate, entered = slow_look
    make_version(tmp_path, 1)
    watch = watching(tmp_path, period_s=-1)
    looking = asyncio.create_task(watch.look())
    await reach(entered.is_set)
    watch.stop()
    gate.set()
    await asyncio.wait_for(looking, 20)
    assert watching.published == []


async def test_look_ends_with_the_new_folder_when_the_folder_changes_meanwhile(
    watching, tmp_path, make_version, reach, slow_look
):
    gate, entered = slow_look
    make_version(tmp_path / "old", 1)
    make_version(tmp_path / "new", 2)
    watch = watching(tmp_path / "old", period_s=-1)
    looking = asyncio.create_task(watch.look())
    await reach(entered.is_set)
    watch.reconfigure(ModelConfig("m", str(tmp_path / "new")))
    gate.set()
    await asyncio.wait_for(looking, 20)
    assert [list(look.aspired) for look in watching.published] == [[2]]


async def test_new_folder_is_looked_at_when_the_period_is_zero(
    watching, tmp_path, make_version, reach, clock
):
    make_version(tmp_path / "old", 1)
    make_version(tmp_path / "new", 2)
    watch = watching(tmp_path / "old", period_s=0)
    await reach(lambda: len(watching.published) == 1)
    watch.reconfigure(ModelConfig("m", str(tmp_path / "new")))
    await reach(lambda: len(watching.published) == 2)
    assert list(watching.published[1].aspired) == [2]


async def test_next_look_comes_by_itself_when_a_look_on_demand_found_changing_files(
    watching, tmp_path, make_version, reach, clock
):
    make_version(tmp_path, 1, age_s=0)
    watch = watching(tmp_path, period_s=-1, settle_s=0.5)
    await watch.look()
    assert watch.unsettled == {1}
    await reach(lambda: clock.sleepers)
    await clock.advance(0.5)
    await reach(lambda: list(watching.published[-1].aspired) == [1])
