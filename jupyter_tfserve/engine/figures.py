"""What people look at: requests a second, latencies, batches, memory and size of every version that serves.

Off the request path: `dataplane.traffic` counts, a timer here ends its seconds, and what asks the system
(a process's memory, a folder's size) does so in a thread and is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil

from jupyter_tfserve.dataplane.traffic import WINDOW_S, Second, TrafficFigures
from jupyter_tfserve.engine.batch_figures import BatchFigures
from jupyter_tfserve.engine.version_runtime import VersionRuntime
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.serving_map import ServedVersion

TURN_S: Final = 1.0
MEMORY_KEPT_S: Final = 1.0
"""The system walks a process's page table for its private memory: a few milliseconds each."""

Served = ServedVersion[VersionRuntime]


class Figures:
    """The figures of one engine. REQUIRES: its event loop."""

    def __init__(self, core: ServerCore[VersionRuntime]) -> None:
        self._core = core
        self._batches = BatchFigures()
        self._timer: asyncio.TimerHandle | None = None
        self._sizes: dict[Path, int | None] = {}
        self._memory: dict[int, int | None] = {}
        self._memory_read = 0.0
        self._reading = asyncio.Lock()

    def start(self) -> None:
        """Ends seconds from now on, on the running loop."""
        self._timer = asyncio.get_running_loop().call_later(TURN_S, self._turn)

    def stop(self) -> None:
        """Ends no more seconds."""
        if self._timer is not None:
            self._timer.cancel()

    async def document(self) -> dict[str, Any]:
        """`GET /control/figures`; docs/control_api.md has its form."""
        served = list(self._served())
        async with self._reading:
            await self._read_system(served)
        now = time.monotonic()
        models: dict[str, dict[str, Any]] = {name: {} for name in self._core.serving_map.models}
        for version in served:
            models.setdefault(version.id.name, {})[str(version.id.version)] = self._version(version, now)
        return {"window_s": WINDOW_S, "models": models}

    def _version(self, served: Served, now: float) -> dict[str, Any]:
        runtime = served.loader
        figures = runtime.traffic.figures(now)
        return {
            **_traffic(figures),
            "memory_bytes": self._memory_of(runtime),
            "disk_bytes": self._sizes.get(runtime.path),
            "available_since": runtime.available_since,
            "devices": [worker.device for worker in runtime.workers],
            **self._batches.document(runtime),
            "history": [_point(second) for second in figures.history],
        }

    def _memory_of(self, runtime: VersionRuntime) -> int | None:
        known = [self._memory.get(worker.pid) for worker in runtime.workers]
        return sum(each for each in known if each is not None) if any(known) else None

    async def _read_system(self, served: list[Served]) -> None:
        paths = {version.loader.path for version in served}
        self._sizes = {path: size for path, size in self._sizes.items() if path in paths}
        unknown = paths - self._sizes.keys()
        if unknown:
            self._sizes |= await asyncio.to_thread(lambda: {path: folder_bytes(path) for path in unknown})
        pids = {worker.pid for version in served for worker in version.loader.workers}
        is_old = time.monotonic() - self._memory_read >= MEMORY_KEPT_S
        if is_old or not pids <= self._memory.keys():
            self._memory = await asyncio.to_thread(lambda: {pid: private_bytes(pid) for pid in pids})
            self._memory_read = time.monotonic()

    def _served(self) -> Iterator[Served]:
        for routes in self._core.serving_map.models.values():
            yield from routes.versions.values()

    def _turn(self) -> None:
        now, wall_time = time.monotonic(), time.time()
        for served in self._served():
            served.loader.traffic.turn(now, wall_time)
            self._batches.turn(served.loader)
        self.start()


def folder_bytes(path: Path) -> int | None:
    """What the folder's files hold; None if it can't be read."""
    try:
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    except OSError:
        return None


def private_bytes(pid: int) -> int | None:
    """A process's memory that would be free without it; None for one that is gone."""
    try:
        return int(psutil.Process(pid).memory_full_info().uss)
    except (psutil.Error, OSError):
        return None


def _traffic(figures: TrafficFigures) -> dict[str, Any]:
    return {
        "requests": figures.requests,
        "requests_per_second": round(figures.requests_per_second, 3),
        "errors_per_second": round(figures.errors_per_second, 3),
        "p50_ms": _rounded(figures.p50_ms),
        "p99_ms": _rounded(figures.p99_ms),
    }


def _point(second: Second) -> dict[str, Any]:
    return {
        "time": round(second.time, 3),
        "requests_per_second": round(second.requests_per_second, 3),
        "p99_ms": _rounded(second.p99_ms),
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 4)
