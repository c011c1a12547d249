"""Real engines: started by the real command, spoken to over their real ports, gone after the test."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.running_engine import RunningEngine, launch


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[Callable[..., RunningEngine]]:
    """Starts an engine with the flags given, on free ports unless they name some; returns when its ports answer.

    One process takes the connections unless a flag says otherwise: what a test sees is the same on every machine.
    """
    running: list[RunningEngine] = []

    def start(*flags: str, stdin: int = subprocess.DEVNULL) -> RunningEngine:
        file = tmp_path / f"connection-{len(running)}.json"
        log = tmp_path / f"engine-{len(running)}.log"
        engine = launch(file, log, "serve", *flags, defaults={"--front_processes": 1}, stdin=stdin)
        running.append(engine)
        return engine

    yield start
    for engine in running:
        children = engine.processes() if engine.process.poll() is None else []
        code = engine.stop()
        assert code in (0, -9), engine.log.read_text()
        _assert_gone(children)


def _assert_gone(children: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(children, timeout=10)
    left = [child.pid for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    for child in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    assert not left, f"orphans: {left}"


@pytest.fixture
def run_reference(tmp_path: Path) -> Callable[[list[Any]], list[Any]]:
    """What TensorFlow itself answers: [(folder, signature, inputs)] to [outputs], in a process of its own."""
    import pickle

    script = Path(__file__).parent.parent / "reference.py"

    def run(calls: list[Any]) -> list[Any]:
        asked, answered = tmp_path / "asked.pickle", tmp_path / "answered.pickle"
        asked.write_bytes(pickle.dumps(calls))
        command = [sys.executable, str(script), str(asked), str(answered)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return list(pickle.loads(answered.read_bytes()))

    return run
