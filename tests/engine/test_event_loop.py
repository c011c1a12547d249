"""Garbage that an ended version leaves."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from jupyter_tfserve.engine.event_loop import LateCollector


class Ring:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def no_other_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_other_collection")
async def test_cycles_are_collected_a_moment_after_somebody_asked() -> None:
    collector, gone = LateCollector(delay_s=0), asyncio.Event()
    ring = Ring()
    weakref.finalize(ring, gone.set)
    del ring
    for _ in range(3):
        collector.collect_soon()
    assert not gone.is_set()
    await asyncio.wait_for(gone.wait(), 10)
