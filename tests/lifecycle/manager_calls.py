"""What the tests of the manager ask of it."""

from __future__ import annotations

from pathlib import Path

from jupyter_tfserve.lifecycle.manager import Manager
from jupyter_tfserve.lifecycle.states import AspiredVersion, LifecycleState

RETRY_S = 60.0


def aspired(*versions: int, base: str = "/models/m", fingerprint: str = "") -> dict[int, AspiredVersion]:
    return {v: AspiredVersion(Path(base) / str(v), fingerprint) for v in versions}


def states(manager: Manager, model: str = "m") -> dict[int, LifecycleState]:
    return {status.version: status.state for status in manager.statuses(model)}


def log_states(manager: Manager) -> list[tuple[int, LifecycleState, str]]:
    log = []
    manager.add_listener(lambda servable, _before, after, text: log.append((servable.version, after, text)))
    return log
