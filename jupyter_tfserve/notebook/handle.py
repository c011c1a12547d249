"""The address and the life of one running server: what `Server` and its commands stand on."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.client_state import ModelState, State
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.discovery import Engine
from jupyter_tfserve.notebook.placement import choose_model


class ServerHandle:
    """A running engine: where it listens now, what it says about itself, how it ends."""

    def __init__(self, engine: Engine, notes: tuple[str, ...] = ()) -> None:
        self._engine = engine
        self._notes = notes
        self._root: Path | None = None
        self._client: ControlClient | None = None
        self._address = ("", "")
        self._close_client: Callable[[], object] = lambda: None

    @property
    def client(self) -> ControlClient:
        """The engine's control API, at the address that it has now."""
        connection = self._engine.connection()
        address = (connection.control_url, connection.token)
        if self._client is None or self._address != address:
            self._close_client()
            client = ControlClient(*address)
            self._client, self._address = client, address
            # Handles are dropped rather than closed: a cell is run again, a kernel ends.
            self._close_client = weakref.finalize(self, client.close)
        return self._client

    @property
    def is_running(self) -> bool:
        """Whether the engine has an address now; one that is being restarted has none."""
        try:
            self._engine.connection()
        except ServingError:
            return False
        return True

    @property
    def rest_url(self) -> str | None:
        """The REST address, for example `http://127.0.0.1:8501`."""
        return self._engine.connection().rest_url

    @property
    def grpc_address(self) -> str | None:
        """The gRPC address, for example `127.0.0.1:8500`."""
        return self._engine.connection().grpc_address

    def state(self) -> State:
        """What the engine says, as it says it."""
        return self.client.state()

    def stop(self) -> None:
        """Requests in flight are answered, then the engine is gone."""
        self._engine.stop()
        self._close_client()
        self._client = None

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes = (*self._notes, text)

    def _model(self, name: str | None) -> ModelState:
        return choose_model(self.client.state(), name)
