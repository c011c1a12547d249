"""Which engine this kernel speaks to: the one of its Jupyter server, or else one of the kernel's own.

The Jupyter server's engine outlives the kernel; the kernel's own ends with it. Either way the kernel then
talks to the engine itself, through the engine's connection file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from jupyter_tfserve.engine.connection import Connection, list_connections, read_connection
from jupyter_tfserve.engine.launch import Launched, LaunchOptions, prepare_engine
from jupyter_tfserve.engine.supervisor import Supervisor, SupervisorState, ThreadedSupervisor
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.jupyter_server import ExtensionMissing, JupyterServer, this_kernels_server

START_HINT: Final = "Start it with `%tfserve start ./saved_models`."


class Engine(Protocol):
    """An engine that runs, and who keeps it."""

    owner: str
    name: str | None
    """What the Jupyter server calls it; None if it keeps none of that name for this kernel."""
    jupyter_url: str | None
    notes: tuple[str, ...]

    @property
    def log_path(self) -> Path:
        """Its log; there may be none yet."""

    def connection(self) -> Connection:
        """Where it listens now, which changes when it is restarted. UNAVAILABLE when it does not run."""

    def is_coming_back(self) -> bool:
        """Whether it is being started again after a crash."""

    def stop(self) -> None:
        """It is gone afterwards."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that a user named; None leaves the choice to the engine's keeper. And whether they need keys."""

    rest_port: int | None = None
    grpc_port: int | None = None
    require_keys: bool = False

    def settings(self) -> dict[str, Any]:
        """As the server extension takes them."""
        # Unsaid rather than false: what is configured holds then.
        keys = True if self.require_keys else None
        named = {"rest_port": self.rest_port, "grpc_port": self.grpc_port, "require_keys": keys}
        return {name: port for name, port in named.items() if port is not None}


RESTART_WAIT_S: Final = 30.0
POLL_S: Final = 0.1
RESTARTING: Final = (SupervisorState.STARTING.value, SupervisorState.BACKING_OFF.value)


class JupyterEngine:
    """An engine that the Jupyter server keeps; it outlives this kernel."""

    owner = "the Jupyter server"

    def __init__(self, server: JupyterServer, document: Mapping[str, Any]) -> None:
        self._server = server
        self.name: str | None = str(document.get("name") or "default")
        self._connection_file = Path(document["connection_file"])
        self.jupyter_url: str | None = f"{server.url}jupyter-tfserve"
        self.notes: tuple[str, ...] = tuple(document.get("notes") or ())

    @property
    def log_path(self) -> Path:
        """See `Engine`."""
        return self._connection_file.with_suffix(".log")

    def connection(self) -> Connection:
        """See `Engine`."""
        return _read(self._connection_file)

    def is_coming_back(self) -> bool:
        """See `Engine`."""
        return any(
            engine.get("name") == self.name and engine.get("state") in RESTARTING
            for engine in self._server.engines()
        )

    def stop(self) -> None:
        """See `Engine`."""
        self._server.stop_engine(str(self.name))


class KernelEngine:
    """An engine that this kernel keeps; it ends with the kernel."""

    owner = "this kernel"
    name: str | None = None
    jupyter_url: str | None = None

    def __init__(self, root: Path, ports: Ports, notes: tuple[str, ...] = ()) -> None:
        self._launched: Launched | None = None
        self._options = LaunchOptions(
            rest_port=ports.rest_port,
            grpc_port=ports.grpc_port,
            arguments=("--require_keys",) if ports.require_keys else (),
        )
        self._root = root
        self._supervisor = ThreadedSupervisor(self._prepare)
        self.notes = (*notes, *(self._launched.notes if self._launched else ()))

    async def _prepare(self) -> Supervisor:
        self._launched = await prepare_engine(self._root, self._options)
        return self._launched.supervisor

    @property
    def is_running(self) -> bool:
        """Whether it runs or is about to run again."""
        ended = (SupervisorState.STOPPED, SupervisorState.FAILED)
        return self._supervisor.status().state not in ended

    def start(self) -> None:
        """It answers afterwards. FAILED_PRECONDITION with the engine's own reason when it cannot start."""
        try:
            self._supervisor.start()
        except BaseException:
            # An interrupted or failed start must not leave a thread, a lock or half an engine behind.
            self.stop()
            raise

    @property
    def log_path(self) -> Path:
        """See `Engine`."""
        return self._supervisor.connection_file.with_suffix(".log")

    def connection(self) -> Connection:
        """See `Engine`."""
        return _read(self._supervisor.connection_file)

    def is_coming_back(self) -> bool:
        """See `Engine`."""
        return self._supervisor.status().state.value in RESTARTING

    def stop(self) -> None:
        """See `Engine`."""
        self._supervisor.close()
        if self._launched is not None:
            self._launched.close()


class FoundEngine:
    """An engine of this kernel's Jupyter server that the server's API does not show to this kernel."""

    owner = "the Jupyter server"
    name: str | None = None
    jupyter_url: str | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, connection_file: Path) -> None:
        self._connection_file = connection_file

    @property
    def log_path(self) -> Path:
        """See `Engine`."""
        return self._connection_file.with_suffix(".log")

    def connection(self) -> Connection:
        """See `Engine`."""
        return _read(self._connection_file)

    def is_coming_back(self) -> bool:
        """See `Engine`. Nobody tells this kernel."""
        return False

    def stop(self) -> None:
        """See `Engine`."""
        raise ServingError(
            Code.PERMISSION_DENIED,
            "The Jupyter server keeps this engine and does not let this kernel in.",
            "Stop it in the Model Serving sidebar.",
        )


class Discovery:
    """Finds or starts the engine of one process. Safe from any thread; one start at a time.

    A kernel's own engine keeps its state by `root` (the current folder). Without `ask_jupyter` it is always
    the process's own.
    """

    def __init__(self, root: Path | None = None, *, ask_jupyter: bool = True) -> None:
        self._lock = threading.Lock()
        self._root = root
        self._ask_jupyter = ask_jupyter
        self._own: KernelEngine | None = None

    def find(self, patience_s: float = RESTART_WAIT_S) -> Engine | None:
        """The engine that runs for this kernel; starts nothing. One that is being restarted has `patience_s` for it."""
        with self._lock:
            return self._find(patience_s)[0]

    def find_or_start(self, ports: Ports) -> tuple[Engine, bool]:
        """The engine of this kernel, and whether it ran already."""
        with self._lock:
            engine, note = self._find()
            if engine is not None:
                return engine, True
            server = self._jupyter_server()
            if server is not None and note is None:
                return JupyterEngine(server, server.start_engine(ports.settings())), False
            own = KernelEngine(self._root or Path.cwd(), ports, () if note is None else (note,))
            own.start()
            self._own = own
            return own, False

    def _jupyter_server(self) -> JupyterServer | None:
        return this_kernels_server() if self._ask_jupyter else None

    def _find(self, patience_s: float = RESTART_WAIT_S) -> tuple[Engine | None, str | None]:
        """The running engine, or why the Jupyter server cannot keep one (None when it can)."""
        if self._own is not None and self._own.is_running:
            return self._own, None
        server = self._jupyter_server()
        if server is None:
            return None, None
        try:
            running = _wait_restarted(server, patience_s)
        except ExtensionMissing as missing:
            return _engine_of(server.pid), f"The kernel keeps its own engine: {missing}."
        running.sort(key=lambda engine: engine.get("name") != "default")
        living = [engine for engine in running if _is_readable(Path(engine["connection_file"]))]
        return (JupyterEngine(server, living[0]) if living else None), None


def _wait_restarted(server: JupyterServer, patience_s: float) -> list[dict[str, Any]]:
    """The server's engines that run, after those that are being restarted have had `patience_s` for it."""
    deadline = time.monotonic() + patience_s
    while True:
        engines = server.engines()
        running = [engine for engine in engines if engine.get("connection_file")]
        restarting = any(engine.get("state") in RESTARTING for engine in engines)
        if running or not restarting or time.monotonic() > deadline:
            return running
        time.sleep(POLL_S)


def _engine_of(server_pid: int) -> Engine | None:
    """The engine whose connection file names the Jupyter server, for kernels that its API does not let in."""
    for path, connection in list_connections():
        if connection.jupyter_server_pid == server_pid:
            return FoundEngine(path)
    return None


def _is_readable(path: Path) -> bool:
    try:
        read_connection(path)
    except ServingError:
        return False
    return True


def _read(path: Path) -> Connection:
    try:
        return read_connection(path)
    except ServingError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise ServingError(Code.UNAVAILABLE, "The engine has stopped.", START_HINT) from error


THIS_KERNEL: Final = Discovery()
"""The one of this process: a kernel's own engine must be found again by every caller in it."""
