"""Engines for the cases: one for all of a file's, since each leaves it as it was, which its oracles check."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.engines import running_engine, wait_loaded
from tests.engine.conftest import start_engine
from tests.reliability.oracles import GOOD, Oracles
from tests.running_engine import RunningEngine

__all__ = ["start_engine"]

MODELS = (GOOD, "slow", "fail_run", "version", "cumsum")


@pytest.fixture(scope="module")
def engine(saved_models, tmp_path_factory) -> Iterator[RunningEngine]:
    """An engine with the models above, a state folder, and a connection file outside of it."""
    folder = tmp_path_factory.mktemp("reliability")
    models = folder / "models"
    models.mkdir()
    for name in MODELS:
        (models / name).symlink_to(saved_models / name)
    flags = (f"--model_base_path={models}", f"--state_dir={folder}/state", "--max_num_load_retries=0")
    with running_engine(folder, *flags, "--file_system_poll_wait_seconds=0.2") as running:
        wait_loaded(running, *MODELS)
        yield running


@pytest.fixture
def oracles(engine) -> Iterator[Oracles]:
    """The standing questions, asked before the case and after it."""
    oracles = Oracles(engine)
    yield oracles
    oracles.check()


@pytest.fixture
def tool() -> Callable[[str], str]:
    """The path of a program; skips where it is not installed."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed")
        return path

    return find


@pytest.fixture(scope="session")
def half_plus_two(saved_models) -> Path:
    """A version folder of the good model."""
    return saved_models / GOOD / "1"
