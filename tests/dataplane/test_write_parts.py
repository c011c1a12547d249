"""write_parts: a transport is asked in a way in which it says that it has enough."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_tfserve.dataplane import write_parts as module
from jupyter_tfserve.dataplane.write_parts import write_parts


class Asked(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def write(self, data) -> None:
        self.seen.append(data)

    def writelines(self, parts) -> None:
        self.seen.append(list(parts))


@pytest.mark.parametrize(
    ("forgets", "home", "seen"),
    [
        (True, "asyncio.selector_events", b"abc"),
        (True, "uvloop.loop", [b"a", b"bc"]),
        (False, "asyncio.selector_events", [b"a", b"bc"]),
    ],
)
def test_parts_are_joined_when_writelines_would_never_pause(monkeypatch, forgets, home, seen):
    monkeypatch.setattr(module, "FORGETS_TO_PAUSE", forgets)
    monkeypatch.setattr(Asked, "__module__", home)
    transport = Asked()
    write_parts(transport, [b"a", memoryview(b"bc")])
    assert transport.seen == [seen]
