"""How our processes keep memory that requests have freed, and give back what is too much of it."""

from __future__ import annotations

import asyncio
import errno
import platform
import subprocess
import sys

import pytest

from jupyter_tfserve.engine import freed_memory
from jupyter_tfserve.engine.freed_memory import KEPT_BYTES, STEADY_BYTES, STEADY_LOOKS, Surplus

FAULTS = """
import resource, sys
from jupyter_tfserve.engine.freed_memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(3):
    bytes(8 << 20)
began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    blocks = [bytearray(8 << 20) for _ in range(3)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began)
"""

PINNED = """
import asyncio, time
from jupyter_tfserve.engine.freed_memory import KEPT_BYTES, give_back_freed_memory, keep_freed_memory, resident_bytes

async def held_and_left():
    giving_back = asyncio.ensure_future(give_back_freed_memory(look_s=0.01))
    await asyncio.sleep(0.001)
    before, end = resident_bytes(), time.monotonic() + 60
    blocks = [b"x" * (1 << 20) for _ in range(200)]
    pin = b"x" * 100_000
    del blocks
    held = resident_bytes()
    while resident_bytes() > before + KEPT_BYTES and time.monotonic() < end:
        await asyncio.sleep(0.01)
    giving_back.cancel()
    print(held - before, resident_bytes() - before)

keep_freed_memory()
asyncio.run(held_and_left())
"""
"""What is free lies below a block that is not."""
GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's allocator")
MB = 2**20


def faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, check=True).stdout)


@GLIBC
def test_pages_are_fetched_once_when_large_blocks_come_and_go() -> None:
    pages = 3 * (8 << 20) // 4096
    assert faults("kept") < 2 * pages
    assert faults("given back") > 2 * pages


@GLIBC
def test_memory_below_a_small_block_goes_back_when_nobody_uses_it() -> None:
    done = subprocess.run([sys.executable, "-c", PINNED], capture_output=True, check=True)
    held, left = map(int, done.stdout.split())
    assert held > 2 * KEPT_BYTES
    assert left <= KEPT_BYTES


async def test_looks_go_on_when_one_of_them_fails(monkeypatch) -> None:
    """No descriptor may be free for a while."""
    looked: asyncio.Queue[int] = asyncio.Queue()

    def resident() -> int:
        looked.put_nowait(1)
        if looked.qsize() == 2:
            raise OSError(errno.EMFILE, "Too many open files")
        return 60 * MB

    monkeypatch.setattr(freed_memory, "resident_bytes", resident)
    giving_back = asyncio.ensure_future(freed_memory.give_back_freed_memory(look_s=0))
    while looked.qsize() < 4:
        assert not giving_back.done()
        await asyncio.sleep(0)
    giving_back.cancel()


def looks(surplus: Surplus, *megabytes: float) -> list[bool]:
    return [surplus.is_idle(int(each * MB)) for each in megabytes]


def test_surplus_is_given_back_when_it_has_been_steady_for_some_looks() -> None:
    surplus = Surplus(60 * MB)
    assert looks(surplus, 200, 200, 200, 200) == [False, False, True, True]
    surplus.given_back(61 * MB)
    assert looks(surplus, 125, 125, 125, 126) == [False, False, False, True]


def test_surplus_is_kept_when_bodies_keep_coming() -> None:
    swing = STEADY_BYTES / MB + 1
    assert not any(looks(Surplus(60 * MB), *[200, 200 + swing] * STEADY_LOOKS))


def test_memory_that_did_not_go_back_is_needed_until_it_goes() -> None:
    surplus = Surplus(60 * MB)
    assert looks(surplus, 300, 300, 300)[-1]
    surplus.given_back(290 * MB)
    assert not any(looks(surplus, 290, 290, 290, 350, 350, 350))
    assert looks(surplus, 100, 170, 170, 170)[-1]
