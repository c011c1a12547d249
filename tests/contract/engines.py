"""Engines for the contract's tests: one process shared by all that only ask, others by those that change things."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jupyter_tfserve.engine.connection import read_connection
from tests.engine.conftest import START_DEADLINE_S, RunningEngine


@contextlib.contextmanager
def running_engine(folder: Path, *flags: str) -> Iterator[RunningEngine]:
    """An engine started with tensorflow_model_server's command line; its files are in `folder`.

    Ports are free ones unless the flags name some. Stopped at the end, which must go well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / "connection.json", folder / "engine.log"
    named = {flag.partition("=")[0] for flag in flags}
    ports = [f"{name}=-1" for name in ("--port", "--rest_api_port") if name not in named]
    command = [sys.executable, "-m", "jupyter_tfserve", *ports, *flags, f"--connection_file={file}"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while not file.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        engine = RunningEngine(process, log, read_connection(file))
    except BaseException:
        process.kill()
        process.wait()
        raise
    try:
        yield engine
    finally:
        code = engine.stop() if process.poll() is None else process.returncode
    assert code == 0, log.read_text()


def config_text(models: dict[str, Path], more: str = "") -> str:
    """A ModelServerConfig as upstream's config files write it; `more` goes into every model's entry."""
    entries = "".join(
        f'  config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {more} }}\n'
        for name, path in models.items()
    )
    return f"model_config_list {{\n{entries}}}\n"


def wait_loaded(engine: RunningEngine, *models: str) -> None:
    """Returns when none of the models is on its way any more, and each has a version that serves."""
    deadline = time.monotonic() + START_DEADLINE_S
    while not all("AVAILABLE" in engine.version_states(model).values() for model in models):
        assert time.monotonic() < deadline, engine.log.read_text()
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
