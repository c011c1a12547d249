"""Real engines: started by the real command, spoken to over their real ports, gone after the test."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from jupyter_tfserve.engine.connection import Connection, read_connection

START_DEADLINE_S = 120


class RunningEngine:
    """One engine process and a client for its ports."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, connection: Connection) -> None:
        self.process = process
        self.log = log
        self.connection = connection
        self.control = httpx.Client(
            base_url=connection.control_url,
            headers={"Authorization": f"Bearer {connection.token}"},
            timeout=60,
            trust_env=False,
        )
        self.rest = httpx.Client(base_url=connection.rest_url or "http://off", timeout=60, trust_env=False)

    def predict(self, model: str, **body: Any) -> Any:
        answer = self.rest.post(f"/v1/models/{model}:predict", content=json.dumps(body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def version_states(self, model: str) -> dict[int, str]:
        state = self.control.get("/control/state").json()
        (found,) = [entry for entry in state["models"] if entry["name"] == model]
        return {version["version"]: version["state"] for version in found["versions"]}

    def wait_version(self, model: str, version: int) -> dict[str, Any]:
        answer = self.control.get(f"/control/models/{model}/versions/{version}/wait?timeout_s=60")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def worker_pid(self, model: str, version: int) -> int:
        return int(self.wait_version(model, version)["pid"])

    def call(self, method: str, path: str, /, **body: Any) -> Any:
        answer = self.control.request(method, path, content=json.dumps(body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(30)
        self.control.close()
        self.rest.close()
        return code


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[Callable[..., RunningEngine]]:
    """Starts an engine with the flags given, on free ports unless they name some; returns when its ports answer.

    One process takes the connections unless a flag says otherwise: what a test sees is the same on every machine.
    """
    running: list[RunningEngine] = []

    def start(*flags: str, stdin: int = subprocess.DEVNULL) -> RunningEngine:
        file = tmp_path / f"connection-{len(running)}.json"
        log = tmp_path / f"engine-{len(running)}.log"
        command = [sys.executable, "-m", "jupyter_tfserve", "serve", f"--connection_file={file}"]
        named = {flag.partition("=")[0] for flag in flags}
        defaults = {"--port": -1, "--rest_api_port": -1, "--front_processes": 1}
        others = [f"{name}={value}" for name, value in defaults.items() if name not in named]
        with log.open("wb") as stream:
            process = subprocess.Popen([*command, *others, *flags], stdin=stdin, stdout=stream, stderr=stream)
        deadline = time.monotonic() + START_DEADLINE_S
        while not file.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        engine = RunningEngine(process, log, read_connection(file))
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
def eventually() -> Callable[..., None]:
    """Waits until a condition holds; fails with its last answer after a deadline."""

    def wait(condition: Callable[[], Any], deadline_s: float = 120) -> None:
        end = time.monotonic() + deadline_s
        while not (answer := condition()):
            assert time.monotonic() < end, f"still {answer!r} after {deadline_s} s"
            time.sleep(0.01)

    return wait


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
