"""The address and the life of one running server: what `Server` and its commands stand on."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.client_figures import Figures
from jupyter_tfserve.engine.client_state import ModelState, State
from jupyter_tfserve.engine.connection import Connection, is_alive
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.addresses import Place, Via, place_for
from jupyter_tfserve.notebook.amounts import parse_limits
from jupyter_tfserve.notebook.batching import Batching, parse_batching, with_changes
from jupyter_tfserve.notebook.discovery import POLL_S, RESTART_WAIT_S, START_HINT, Engine
from jupyter_tfserve.notebook.events import Events, parse_events
from jupyter_tfserve.notebook.logs import follow_log, last_lines
from jupyter_tfserve.notebook.placement import choose_model
from jupyter_tfserve.notebook.share import Keys, list_keys, unshare

NOTICE_WAIT_S: Final = 2.0
"""So long an engine's keeper may take to notice that it has crashed."""


class ServerHandle:
    """A running engine: where it listens now, what it says about itself, how it ends."""

    def __init__(self, engine: Engine, notes: tuple[str, ...] = ()) -> None:
        self._engine = engine
        self._notes: dict[str, Callable[[State], bool]] = dict.fromkeys(notes, _always)
        self._root: Path | None = None
        self._client: ControlClient | None = None
        self._address = ("", "")
        self._close_client: Callable[[], object] = lambda: None

    @property
    def client(self) -> ControlClient:
        """The engine's control API, at the address that it has now."""
        connection = self.connection()
        address = (connection.control_url, connection.token)
        if self._client is None or self._address != address:
            self._close_client()
            client = ControlClient(*address)
            self._client, self._address = client, address
            # Handles are dropped rather than closed: a cell is run again, a kernel ends.
            self._close_client = weakref.finalize(self, client.close)
        return self._client

    def connection(self) -> Connection:
        """Where the engine listens; one that has crashed is waited for while it is being started again."""
        deadline = time.monotonic() + RESTART_WAIT_S
        while True:
            try:
                connection = self._engine.connection()
                if is_alive(connection):
                    return connection
                gone = ServingError(Code.UNAVAILABLE, "The engine has stopped.", START_HINT)
            except ServingError as error:
                gone = error
            if time.monotonic() > deadline or not self._engine.is_coming_back():
                raise gone
            time.sleep(POLL_S)

    def is_back_after(self, asked: Connection) -> bool:
        """Whether the engine that was there has crashed and runs again; waits while it is brought back."""
        if is_alive(asked):
            return False
        deadline = time.monotonic() + NOTICE_WAIT_S
        while not self._is_another(asked):
            # Its keeper may not know of the crash yet.
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _is_another(self, asked: Connection) -> bool:
        try:
            return self.connection() != asked
        except ServingError:
            return False

    @property
    def is_running(self) -> bool:
        """Whether the engine has an address now; one that is being restarted has none."""
        try:
            return is_alive(self._engine.connection()) or self._engine.is_coming_back()
        except ServingError:
            return False

    @property
    def rest_url(self) -> str | None:
        """The REST address, for example `http://127.0.0.1:8501`."""
        return self._engine.connection().rest_url

    @property
    def grpc_address(self) -> str | None:
        """The gRPC address, for example `127.0.0.1:8500`."""
        return self._engine.connection().grpc_address

    def place(self, via: Via | None = None) -> Place:
        """Where clients outside of this kernel send to."""
        return place_for(self._engine.connection(), self._engine.jupyter_url, via, os.environ)

    def state(self) -> State:
        """What the engine says, as it says it."""
        return self.client.state()

    def figures(self) -> Figures:
        """Requests a second, latencies, memory and size of every version that serves, in the last minute."""
        return self.client.figures()

    def history(self, limit: int = 50) -> Events:
        """What happened: loads, labels, policies, errors; the newest first."""
        return parse_events(self.client.history(limit))

    def logs(self, lines: int = 50) -> str:
        """The last lines of the server's log."""
        return last_lines(self._engine.log_path, lines)

    def follow_logs(self, lines: int, write: Callable[[str], object]) -> None:
        """Hands the log to `write` as it grows; returns when it is interrupted."""
        follow_log(self._engine.log_path, lines, write)

    def config(self, path: str | os.PathLike[str]) -> None:
        """Serve what a ModelServerConfig file says, and nothing else.

        A refusal changes nothing. What is still being loaded after half a minute is named with the status.
        """
        text = Path(os.path.expanduser(path)).read_text(encoding="utf-8")
        try:
            notes = self.client.set_config(text)
        except ServingError as error:
            if error.code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.UNKNOWN):
                raise  # not about the file
            hint = f"In {os.fspath(path)}. {error.hint or ''}".rstrip()
            raise ServingError(error.code, error.message, hint) from None
        before = self.client.state().models
        for note in notes:
            self._note(note, lambda state: state.models == before)

    def limit(self, *words: str, model: str | None = None) -> dict[str, Any]:
        """Bound what may be asked of a model: `("100/s", "burst=20", "in_flight=8", "slow_start=30s")` or `("off")`.

        All limits are replaced; returns those that hold now.
        """
        limits = parse_limits(words)
        self.client.set_limits(self.model(model).name, limits)
        return limits

    def batching(self, model: str | None = None, signature: str | None = None, **changes: Any) -> Batching:
        """How a model is batched, with these changes if there are any: `max_batch_size`, `batch_timeout_micros`,
        `target_p99_ms`, `allowed_batch_sizes`; None takes one back. They hold at once, and after a restart.

        `signature`: for that signature only.
        """
        name = self.model(model).name
        document = self.client.batching(name)
        if changes:
            settings = with_changes(document["settings"], changes, signature)
            document = self.client.set_batching(name, settings)
        return parse_batching(name, document)

    def replicas(self, count: int | None, model: str | None = None) -> None:
        """So many processes for each version of a model, spread over the GPUs; 0: one for each GPU, None: as the
        server was started. At once, and after a restart.
        """
        self.client.set_replicas(self.model(model).name, count)

    def keys(self) -> Keys:
        """The keys that were made and not revoked."""
        return list_keys(self.client)

    def unshare(self, key_id: str) -> None:
        """Revoke a key, at once."""
        unshare(self.client, key_id)

    def stop(self) -> None:
        """Requests in flight are answered, then the engine is gone."""
        self._engine.stop()
        self._close_client()
        self._client = None

    def _note(self, text: str, holds: Callable[[State], bool]) -> None:
        """Shown with the state for as long as `holds`: a note about what is over would be a wrong one."""
        self._notes[text] = holds

    def _notes_now(self, state: State) -> tuple[str, ...]:
        self._notes = {text: holds for text, holds in self._notes.items() if holds(state)}
        return tuple(self._notes)

    def model(self, name: str | None = None) -> ModelState:
        """The model of that name as it is now; without one, the only model."""
        return choose_model(self.client.state(), name)


def _always(_: State) -> bool:
    return True
