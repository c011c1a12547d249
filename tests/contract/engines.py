"""Engines for the contract's tests: one process shared by all that only ask, others by those that change things."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from tests.running_engine import START_DEADLINE_S, RunningEngine, launch


@contextlib.contextmanager
def running_engine(folder: Path, *flags: str) -> Iterator[RunningEngine]:
    """An engine started with tensorflow_model_server's command line; its files are in `folder`.

    Ports are free ones unless the flags name some. Stopped at the end, which must go well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / "connection.json", folder / "engine.log"
    engine = launch(file, log, *flags, defaults={})
    try:
        yield engine
    finally:
        code = engine.stop() if engine.process.poll() is None else engine.process.returncode
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
