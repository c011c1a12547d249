"""What an engine is started with: its command line, ports, state directory and files, for one owner.

An owner is a Jupyter server or a kernel. Ports that nobody named give way when they are taken; ports that
the user named do not.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import socket
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from jupyter_tfserve.engine.connection import Connection, new_connection_path
from jupyter_tfserve.engine.kept_ports import KeptPorts
from jupyter_tfserve.engine.log_file import remove_log, remove_old_logs
from jupyter_tfserve.engine.supervisor import (
    Supervisor,
    SupervisorOptions,
    SupervisorState,
    SupervisorStatus,
)
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.folder_lock import NO_LOCKS, give_back, try_lock
from jupyter_tfserve.lifecycle.read_only import why_read_only
from jupyter_tfserve.worker.forked_children import not_for_children
from jupyter_tfserve.worker.handover import KeptForkServer

LOOPBACK: Final = "127.0.0.1"
DEFAULT_REST_PORT: Final = 8501
DEFAULT_GRPC_PORT: Final = 8500
FREE_PORT: Final = -1
LOCK_WAIT_S: Final = 5.0
LOCK_POLL_S: Final = 0.1
MAX_TWINS: Final = 16
TWIN: Final = "another server has this folder's models, labels and settings, and this one does not see them"
MAX_CHOICES: Final = 5
IN_USE: Final = "is already in use"
"""How an engine's reason ends when it cannot have a port."""
PATIENCE: Final = ("--max_num_load_retries=1", "--load_retry_interval_micros=1000000")
"""A person is waiting: a version that can't be loaded says so in seconds, not in TensorFlow Serving's five minutes.
When its files change it is tried again."""
_NAMES: Final[weakref.WeakKeyDictionary[Supervisor, str]] = weakref.WeakKeyDictionary()
"""This process's engines, by what runs them."""


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """One engine's settings. A port of None is the default one, or a free one if that is taken.

    `arguments` are further flags of `jupyter tfserve serve`. Only a Jupyter server sets `jupyter_server_pid`.
    """

    host: str = LOOPBACK
    rest_port: int | None = None
    grpc_port: int | None = None
    arguments: tuple[str, ...] = ()
    jupyter_server_pid: int | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports to ask for, and what to tell the user about them. -1 lets the engine pick."""

    rest_port: int
    grpc_port: int
    notes: tuple[str, ...] = ()


def choose_ports(options: LaunchOptions) -> Ports:
    """The ports for a first start; UNAVAILABLE, naming the port, if one that the user named is taken."""
    rest, rest_note = _choose(options.host, options.rest_port, DEFAULT_REST_PORT, "REST")
    grpc, grpc_note = _choose(options.host, options.grpc_port, DEFAULT_GRPC_PORT, "gRPC")
    return Ports(rest, grpc, tuple(note for note in (rest_note, grpc_note) if note is not None))


class PortChoice:
    """The ports for a first start, chosen again when another program was quicker to take one of them."""

    def __init__(self, options: LaunchOptions) -> None:
        """UNAVAILABLE, naming the port, if one that the user named is taken."""
        self._options = options
        self._left = MAX_CHOICES
        self.ports = choose_ports(options)

    def again(self, error: ServingError) -> bool:
        """Whether the engine failed for a port, and there are others to try: `ports` are those then."""
        if IN_USE not in error.message or not self._left:
            return False
        self._left -= 1
        try:
            self.ports = choose_ports(self._options)
        except ServingError:  # the user wants this one
            return False
        return True


def _choose(host: str, named: int | None, default: int, protocol: str) -> tuple[int, str | None]:
    if named is not None:
        if named > 0 and is_port_taken(host, named):
            raise ServingError(
                Code.UNAVAILABLE,
                f"port {named} is taken by {_holder(named)}",
                f"Name another {protocol} port, or none to get a free one.",
            )
        return named, None
    if is_port_taken(host, default):
        return FREE_PORT, f"port {default} is taken by {_holder(default)}; {protocol} got a free port"
    return default, None


def _holder(port: int) -> str:
    """Who has it, as far as this process knows."""
    for supervisor, name in list(_NAMES.items()):
        connection = supervisor.status().connection
        if connection is not None:
            ports = ports_of(connection)
            if port in (ports.rest_port, ports.grpc_port):
                return f"the engine '{name}'"
    return "another program"


def is_port_taken(host: str, port: int) -> bool:
    """Whether nobody can listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of an engine that ended a moment ago do not make the port taken.
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.errno in (errno.EADDRINUSE, errno.EACCES)
    return False


def ports_of(connection: Connection) -> Ports:
    """The ports that a run had; a restarted engine takes them again, since clients hold their addresses."""
    rest = urlsplit(connection.rest_url).port if connection.rest_url else 0
    grpc = connection.grpc_address.rpartition(":")[2] if connection.grpc_address else "0"
    return Ports(rest or 0, int(grpc) if grpc.isdecimal() else 0)


def engine_command(options: LaunchOptions, ports: Ports, connection_file: Path, state_dir: Path) -> list[str]:
    """The command line of an engine that ends with its parent."""
    command = [
        sys.executable,
        "-m",
        "jupyter_tfserve",
        "serve",
        f"--rest_api_port={ports.rest_port}",
        f"--port={ports.grpc_port}",
        f"--connection_file={connection_file}",
        f"--state_dir={state_dir}",
        "--exit_with_parent",
        *PATIENCE,
    ]
    if options.host != LOOPBACK:
        command.append(f"--host={options.host}")
    if options.jupyter_server_pid is not None:
        command.append(f"--jupyter_server_pid={options.jupyter_server_pid}")
    return [*command, *options.arguments]


@dataclass(frozen=True, slots=True)
class StateDir:
    """A directory for one engine's state, to be released after use. `lock` is None where there are no locks.

    A temporary one goes with its engine.
    """

    path: Path
    lock: FileIO | None
    is_temporary: bool = False

    def release(self) -> None:
        """Another engine may have it, whoever was forked from this process meanwhile."""
        if self.lock is not None and not self.lock.closed:
            give_back(self.lock.fileno())
            self.lock.close()


def state_path(root: Path, name: str = "default") -> Path:
    """Where the engine `name` of the owner that works in `root` keeps its state between its runs."""
    from jupyter_core.paths import jupyter_data_dir

    digest = hashlib.sha256(os.path.realpath(root).encode()).hexdigest()[:16]
    suffix = "" if name == "default" else f"-{name}"
    return Path(jupyter_data_dir()) / "tfserve" / f"{digest}{suffix}"


async def hold_state_dir(path: Path, wait_s: float = LOCK_WAIT_S) -> StateDir:
    """`path`, made with mode 0700 and locked; a numbered twin of it if another engine keeps it for `wait_s`.

    Two engines must never write one state. An engine that is just ending lets go soon, hence the wait.
    """
    deadline = time.monotonic() + wait_s
    while True:
        held = _try_lock(path)
        if held is not None:
            return held
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(LOCK_POLL_S)
    for number in range(2, MAX_TWINS):
        held = _try_lock(path.with_name(f"{path.name}-{number}"))
        if held is not None:
            return held
    raise ServingError(
        Code.RESOURCE_EXHAUSTED, "too many engines run for this folder", "Stop one with `%tfserve stop`."
    )


async def temporary_state_dir(path: Path, reason: str) -> tuple[StateDir, str]:
    """A directory in place of `path`, which cannot be written, and what to tell the person about it."""
    made = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="tfserve-"))
    note = (
        f"{path.parent} cannot be written ({reason}): models, labels and settings hold until this server is stopped, "
        "and no longer"
    )
    return StateDir(made, (await hold_state_dir(made)).lock, is_temporary=True), note


def _try_lock(path: Path) -> StateDir | None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = try_lock(path / "lock")
    except OSError as error:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"the engine's state cannot be kept: {error.strerror}",
            "Make Jupyter's data directory writable (`jupyter --data-dir` names it).",
        ) from None
    if descriptor is None:
        return None
    return StateDir(path, None if descriptor == NO_LOCKS else not_for_children(FileIO(descriptor, "r+")))


@dataclass(slots=True)
class Launched:
    """A supervisor that has not started yet, and what it was given. `close` it after the last stop."""

    supervisor: Supervisor
    state_dir: StateDir
    choice: PortChoice
    state_notes: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell the person about ports and folder."""
        return (*self.choice.ports.notes, *self.state_notes)

    def close(self) -> None:
        """Let the state directory go, and the log unless it tells why the engine failed."""
        if self.supervisor.status().state is SupervisorState.STOPPED:
            remove_log(self.supervisor.log_path)
        self.state_dir.release()
        if self.state_dir.is_temporary:
            shutil.rmtree(self.state_dir.path, ignore_errors=True)
        self.state_dir = StateDir(self.state_dir.path, None)


async def prepare_engine(
    root: Path,
    options: LaunchOptions | None = None,
    *,
    name: str = "default",
    supervision: SupervisorOptions | None = None,
    on_change: Callable[[SupervisorStatus], None] | None = None,
) -> Launched:
    """An engine for the owner that works in `root`: ports chosen, state directory held, not started yet."""
    options = options or LaunchOptions()
    choice = PortChoice(options)
    path = state_path(root, name)
    notes: tuple[str, ...] = ()
    reason = await asyncio.to_thread(why_read_only, path)
    if reason is None:
        state_dir = await hold_state_dir(path)
        if state_dir.path != path:
            notes = (f"{TWIN}; it keeps its own in {state_dir.path}",)
    else:
        state_dir, note = await temporary_state_dir(path, reason)
        notes = (note,)
    connection_file = new_connection_path()
    remove_old_logs(connection_file.parent, time.time())

    def command(last: Connection | None) -> list[str]:
        now = choice.ports if last is None else ports_of(last)
        return engine_command(options, now, connection_file, state_dir.path)

    supervisor = Supervisor(
        command,
        connection_file,
        connection_file.with_suffix(".log"),
        supervision,
        # Not the user's folder: `python -m` would import the modules that lie there.
        cwd=state_dir.path,
        # The engine holds the lock as well: it is free only when both of us are gone.
        pass_fds=() if state_dir.lock is None else (state_dir.lock.fileno(),),
        # Elsewhere there is no fork server, and a restart closes the ports for a moment.
        kept=(KeptForkServer(), KeptPorts()) if sys.platform.startswith("linux") else (),
        on_change=on_change,
    )
    supervisor.start_again = choice.again
    _NAMES[supervisor] = name
    return Launched(supervisor, state_dir, choice, notes)
