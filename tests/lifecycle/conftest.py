"""The fakes of the lifecycle's tests, a loader whose load can be held or made to fail and a clock, and a core on them."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.history import History
from jupyter_tfserve.lifecycle.manager import Manager
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.options import LifecycleOptions
from jupyter_tfserve.types import ServableId
from tests.lifecycle.manager_calls import RETRY_S

DEADLINE_S = 120.0


class FakeLoader:
    """Follows its factory's script; counts what was asked of it."""

    def __init__(self, servable: ServableId, path: Path, factory: FakeLoaders) -> None:
        self.id = servable
        self.path = path
        self.loads = 0
        self.unloads = 0
        self.load_errors: list[Exception] = []
        self.unload_error: Exception | None = None
        self._factory = factory

    async def load(self) -> None:
        self.loads += 1
        self._factory.loading += 1
        self._factory.most_loading = max(self._factory.most_loading, self._factory.loading)
        try:
            if self._factory.is_holding:
                held = self._factory.held[self.id] = asyncio.get_running_loop().create_future()
                await held
            script = self._factory.script[self.id]
            error = script.pop(0) if script else None
            if error is not None:
                raise error
        finally:
            self._factory.loading -= 1

    async def unload(self) -> None:
        self.unloads += 1
        if self.unload_error is not None:
            raise self.unload_error


@dataclass
class FakeLoaders:
    """The factory: `script` holds the outcome of each attempt, `is_holding` makes loads wait in `held`."""

    script: dict[ServableId, list[Exception | None]] = field(default_factory=lambda: defaultdict(list))
    made: list[FakeLoader] = field(default_factory=list)
    held: dict[ServableId, asyncio.Future[None]] = field(default_factory=dict)
    is_holding: bool = False
    loading: int = 0
    most_loading: int = 0

    def __call__(self, servable: ServableId, path: Path) -> FakeLoader:
        loader = FakeLoader(servable, path, self)
        self.made.append(loader)
        return loader

    def last(self, version: int, name: str = "m") -> FakeLoader:
        return [loader for loader in self.made if loader.id == ServableId(name, version)][-1]

    def fail(self, version: int, *messages: str, name: str = "m") -> None:
        errors = [ServingError(Code.NOT_FOUND, message) for message in messages]
        self.script[ServableId(name, version)].extend(errors)

    def finish(self, version: int, name: str = "m") -> None:
        self.held.pop(ServableId(name, version)).set_result(None)


class VirtualClock:
    """Time that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self.sleeps.append((self.now + seconds, woken))
        await woken

    @property
    def sleepers(self) -> int:
        return sum(not woken.done() for _, woken in self.sleeps)

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        for deadline, woken in self.sleeps:
            if deadline <= self.now and not woken.done():
                woken.set_result(None)
        await spin()


async def spin() -> None:
    """Lets every task that can run without time or files run to its next wait."""
    for _ in range(50):
        await asyncio.sleep(0)


async def reach(condition: Callable[[], object]) -> None:
    """Returns when `condition` holds; fails after the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition was not reached in time"
        await asyncio.sleep(0.005)


def make_version(base: Path, name: str | int, age_s: float = 60.0, content: bytes = b"model") -> Path:
    """A version folder with a model whose files, and itself, were last touched `age_s` ago."""
    folder = base / str(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(content)
    touched = time.time() - age_s
    for path in (folder / "saved_model.pb", folder):
        os.utime(path, (touched, touched))
    return folder


@pytest.fixture
def loaders() -> FakeLoaders:
    return FakeLoaders()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(name="spin")
def spin_fixture():
    return spin


@pytest.fixture(name="reach")
def reach_fixture():
    return reach


@pytest.fixture(name="make_version")
def make_version_fixture():
    return make_version


@pytest.fixture
async def make_core(tmp_path, loaders):
    made = []

    def make(state_dir: Path | None = tmp_path / "state", settle_s: float = 1.0, **options) -> ServerCore:
        defaults = {"file_system_poll_wait_seconds": 0.01, "max_num_load_retries": 0}
        history = History(state_dir)
        made.append(
            ServerCore(
                loaders,
                LifecycleOptions(**(defaults | options)),
                StateStore(state_dir),
                history,
                settle_s=settle_s,
            )
        )
        return made[-1]

    yield make
    loaders.is_holding = False
    for core in made:
        await core.close(keep_models=True, drain_timeout_s=1)


@pytest.fixture
async def core(make_core):
    made = make_core()
    await made.start()
    return made


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "models"


@pytest.fixture
async def make_manager(loaders, clock):
    made = []

    def make(**options) -> Manager:
        defaults = {"max_num_load_retries": 0, "load_retry_interval_micros": int(RETRY_S * 1e6)}
        made.append(Manager(loaders, LifecycleOptions(**(defaults | options)), clock))
        return made[-1]

    yield make
    loaders.is_holding = False
    for manager in made:
        await manager.close(drain_timeout_s=1)


@pytest.fixture
def manager(make_manager):
    return make_manager()
