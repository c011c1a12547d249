"""What takes a right away holds at once, whatever the disk does; it is on disk as soon as that is possible."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.durable import DurableState, HoldsUnsaved
from jupyter_tfserve.lifecycle.keys import PredictKey
from jupyter_tfserve.lifecycle.store import LoadedState

KEYS = tuple(PredictKey(name, "digest", ("*",)) for name in ("a", "b"))
FULL = ServingError(Code.FAILED_PRECONDITION, "No space left on device")


class Disk:
    """A store whose saves fail while it is full."""

    def __init__(self) -> None:
        self.state = DesiredState(keys=KEYS)
        self.is_full = False
        self.saved = threading.Event()

    def load(self) -> LoadedState:
        return LoadedState(self.state)

    def save(self, state: DesiredState) -> None:
        if self.is_full:
            raise FULL
        self.state = state
        self.saved.set()


def ids(state: DesiredState) -> list[str]:
    return [key.id for key in state.keys]


def without(key_id: str):
    return lambda state: state.without_key(key_id)


def same(state: DesiredState) -> DesiredState:
    return state


class Durable:
    """A durable state on a disk, and what was applied and recorded."""

    def __init__(self, save_again_s: float = 600.0) -> None:
        self.disk = Disk()
        self.applied: list[list[str]] = []
        self.recorded: list[str] = []
        self.durable = DurableState(self.disk, lambda state: self.applied.append(ids(state)), save_again_s)  # type: ignore[arg-type]

    async def revoke(self, edit=None) -> None:
        await self.durable.revoke(edit or without("a"), lambda: self.recorded.append("revoked"))


@pytest.fixture
async def make():
    made = []

    async def make_one(**options) -> Durable:
        one = Durable(**options)
        made.append(one)
        one.durable.take_up((await one.durable.load()).state)
        return one

    yield make_one
    for one in made:
        await one.durable.close(keep_models=True)


async def test_revocation_is_saved_and_holds(make):
    one = await make()
    await one.revoke()
    assert (ids(one.disk.state), one.applied[-1], one.recorded) == (["b"], ["b"], ["revoked"])


async def test_revocation_holds_at_once_and_says_so_when_the_disk_is_full(make):
    one = await make()
    one.disk.is_full = True
    with pytest.raises(HoldsUnsaved) as raised:
        await one.revoke()
    assert (raised.value.code, raised.value.message) == (FULL.code, FULL.message)
    assert (one.applied[-1], one.recorded) == (["b"], ["revoked"])
    assert ids(one.disk.state) == ["a", "b"]


async def test_revocation_holds_before_the_disk_has_answered(make, monkeypatch):
    one = await make()
    monkeypatch.setattr(one.disk, "save", lambda _: seen.append(one.applied[-1]))
    seen: list[list[str]] = []
    await one.revoke()
    assert seen == [["b"]]


@pytest.mark.parametrize("by", ["asking again", "another change", "itself", "the end"])
async def test_revocation_is_on_disk_when_there_is_room_again(make, by):
    one = await make(save_again_s=0.0 if by == "itself" else 600.0)
    one.disk.is_full = True
    with pytest.raises(HoldsUnsaved):
        await one.revoke()
    with pytest.raises(HoldsUnsaved):
        await one.revoke(same)
    one.disk.is_full = False
    if by == "asking again":
        await one.revoke(same)
    elif by == "another change":
        await one.durable.change(without("b"), lambda: None)
    elif by == "itself":
        assert await asyncio.to_thread(one.disk.saved.wait, 20)
    else:
        await one.durable.close(keep_models=True)
    assert "a" not in ids(one.disk.state)
    assert one.recorded == ["revoked"]


async def test_other_change_is_refused_and_leaves_no_trace_when_the_disk_is_full(make):
    one = await make()
    one.disk.is_full = True
    with pytest.raises(ServingError, match="No space left") as raised:
        await one.durable.change(without("a"), lambda: one.recorded.append("changed"))
    assert not isinstance(raised.value, HoldsUnsaved)
    assert (ids(one.durable.state), one.applied, one.recorded) == (["a", "b"], [["a", "b"]], [])


async def test_nothing_is_revoked_when_the_server_shuts_down(make):
    one = await make()
    await one.durable.close(keep_models=True)
    with pytest.raises(ServingError, match="shutting down"):
        await one.revoke()
    assert ids(one.durable.state) == ["a", "b"]
