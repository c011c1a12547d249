"""Fixtures that more than one package's tests use, and how the whole suite is spread. Keep it small."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes tells of the machine that others use as well.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

pytest_plugins = ["tests.reliability.lines"]

EVERY_MODEL = ("*=1", "version=2", "version=3")
MAX_PROCESSES = 4
NIGHTLY_TIMEOUT_S = 1800
ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    """What runs for minutes by design has the time for it on a busy machine too."""
    for item in items:
        if item.get_closest_marker("nightly") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(NIGHTLY_TIMEOUT_S))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """The whole suite runs in as many processes as there are cores, file by file; a part of it in one.

    The nightly part too: its figures are of one case alone. `-n` decides otherwise, and without pytest-xdist all is
    as it was.
    """
    option = config.option
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and option.markexpr == "not nightly"
    # Its processes read these lines too, and must not spread again.
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    if is_whole and getattr(option, "numprocesses", 0) is None and not option.usepdb:
        option.numprocesses = max(2, min(os.cpu_count() or 2, MAX_PROCESSES))
        # A file's tests share engines; the order as collected, since the first ones are the longest.
        option.dist, option.loadscopereorder = "loadfile", False


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """`once("name", make)`: a folder that `make(folder)` has filled, for all processes of this run. Read it only."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name, make):
        folder = shared / f"once-{name}"
        with (shared / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                half_made = shared / f"once-{name}.tmp"
                shutil.rmtree(half_made, ignore_errors=True)
                half_made.mkdir()
                make(half_made)
                half_made.rename(folder)
        return folder

    return made


def run_maker(*command):
    """Runs a program that makes models: TensorFlow stays out of the tests' process."""
    line = [sys.executable, *map(str, command)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def saved_models(once) -> Path:
    """Every model of `saved_models.py` as NAME/1, and version/2 and version/3 (some seconds, once)."""
    return once("saved_models", lambda folder: run_maker("-m", "tests.saved_models", folder, *EVERY_MODEL))


@pytest.fixture(scope="session")
def inference_models(once) -> Path:
    """The models of `dataplane/example_models.py`, which take Examples."""
    script = Path(__file__).parent / "dataplane" / "example_models.py"
    return once("inference_models", lambda folder: run_maker(script, folder))


@pytest.fixture(scope="session")
def make_saved_models(saved_models, tmp_path_factory):
    """Makes models, `make_saved_models("version=2", …)`; returns a new folder that has NAME/VERSION in it.

    Only `version` knows its own number: of the others any number is a copy of version 1.
    """

    def make(*wanted: str) -> Path:
        # A folder of its own each time: another test's models must not get a version more.
        base = tmp_path_factory.mktemp("saved_models")
        for one in wanted:
            name, _, version = one.partition("=")
            source = saved_models / name / (version if name == "version" else "1")
            shutil.copytree(source, base / name / version)
        return base

    return make


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits until a condition holds; fails with its last answer after a deadline."""

    def wait(condition: Callable[[], Any], deadline_s: float = 120) -> None:
        end = time.monotonic() + deadline_s
        while not (answer := condition()):
            assert time.monotonic() < end, f"still {answer!r} after {deadline_s} s"
            time.sleep(0.01)

    return wait
