"""What a person is told about a start: ports that were wished for, folders without models. Looks at folders only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jupyter_tfserve.engine.client_state import State
from jupyter_tfserve.notebook.discovery import Engine, Ports


def chosen_versions(state: State, models: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Which versions of these models are to be served."""
    return {model.name: model.policy for model in state.models if model.name in models}


def port_notes(engine: Engine, ports: Ports) -> tuple[str, ...]:
    """Where a server that ran already listens elsewhere than was wished for."""
    connection = engine.connection()
    wanted = (
        ("REST", ports.rest_port, connection.rest_url),
        ("gRPC", ports.grpc_port, connection.grpc_address),
    )
    return tuple(
        f"The server runs with {protocol} at {address or 'no port'}; to move it, `%tfserve stop` first."
        for protocol, port, address in wanted
        if port is not None and (address or "").rpartition(":")[2] != str(port)
    )


def is_empty(folder: Path) -> bool:
    """Whether nothing that a person would see is there; true of a folder that does not exist."""
    return not folder.exists() or (folder.is_dir() and all(e.name.startswith(".") for e in folder.iterdir()))
