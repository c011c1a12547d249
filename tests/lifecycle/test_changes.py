"""Waiting without polling."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.changes import Changes


async def test_wait_returns_at_once_when_the_value_is_there():
    assert await Changes().wait_until(lambda: 3, 0.0) == 3


async def test_wait_asks_again_only_when_a_change_is_announced(spin):
    changes, asked, value = Changes(), [], []

    def poll() -> int | None:
        asked.append(len(value))
        return value[0] if value else None

    waiting = asyncio.create_task(changes.wait_until(poll))
    await spin()
    changes.announce()
    await spin()
    value.append(7)
    await spin()
    assert (asked, waiting.done()) == ([0, 0], False)
    changes.announce()
    assert await waiting == 7


async def test_wait_raises_deadline_exceeded_and_asks_no_more_when_time_is_up():
    changes, asked = Changes(), []
    with pytest.raises(ServingError) as caught:
        await changes.wait_until(lambda: asked.append(1), 0.01)
    changes.announce()
    assert (caught.value.code, len(asked)) == (Code.DEADLINE_EXCEEDED, 1)


async def test_every_waiter_is_woken_by_one_change(spin):
    changes, value = Changes(), []
    waiting = [asyncio.create_task(changes.wait_until(lambda: value or None)) for _ in range(3)]
    await spin()
    value.append(1)
    changes.announce()
    assert await asyncio.gather(*waiting) == [[1]] * 3
