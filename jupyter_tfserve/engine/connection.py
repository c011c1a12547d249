"""The engine's connection file: where a running engine listens and the token of its control API.

Like a kernel's: the engine writes it when its ports listen and removes it when it stops; the Jupyter
extension and the kernels read it. Blocking file calls of a few microseconds. Imports no TensorFlow and no
Jupyter server.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import psutil

from jupyter_tfserve.errors import Code, ServingError, not_found

API_LEVEL: Final = 1
MAX_FILE_BYTES: Final = 64 * 2**10
CREATE_TIME_TOLERANCE_S: Final = 1.0
"""psutil derives the time from the boot time, which moves a little when the clock is set."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach one engine. `token` opens the control API: it stays in private files and in headers."""

    pid: int
    create_time: float
    control_url: str
    token: str = field(repr=False)
    rest_url: str | None
    grpc_address: str | None
    version: str
    api_level: int
    jupyter_server_pid: int | None
    owner_pid: int


_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "pid": (int,),
    "create_time": (int, float),
    "control_url": (str,),
    "token": (str,),
    "rest_url": (str, type(None)),
    "grpc_address": (str, type(None)),
    "version": (str,),
    "api_level": (int,),
    "jupyter_server_pid": (int, type(None)),
    "owner_pid": (int,),
}


def runtime_directory() -> Path:
    """Jupyter's runtime directory, private to the user; made if it is missing."""
    from jupyter_core.paths import jupyter_runtime_dir

    directory = Path(jupyter_runtime_dir())
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def new_connection_path(directory: Path | None = None) -> Path:
    """A name that no other engine has: `tfserve-<id>.json`."""
    return (directory or runtime_directory()) / f"tfserve-{secrets.token_hex(6)}.json"


def write_connection(path: Path, connection: Connection) -> None:
    """The file at `path`, whole or not at all, readable by the user alone. FAILED_PRECONDITION if that cannot be."""
    try:
        _write(path, connection)
    except OSError as error:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"the connection file cannot be written: {error.strerror}",
            "Give --connection_file another folder, or set JUPYTER_RUNTIME_DIR to one that can be written.",
        ) from None


def _write(path: Path, connection: Connection) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(asdict(connection), stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise


def read_connection(path: Path) -> Connection:
    """The engine that `path` describes.

    NOT_FOUND if there is no such file; PERMISSION_DENIED if it is not the user's own plain file, since
    whoever writes it chooses where our requests go; DATA_LOSS if its content is not a connection.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise not_found("there is no connection file of this name; the engine has stopped") from None
    except OSError as error:
        raise _refused(error.strerror or "it cannot be opened") from None
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _refused("it is not a plain file")
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            raise _refused("it belongs to another user")
        return _parse(stream.read(MAX_FILE_BYTES + 1))


def _refused(reason: str) -> ServingError:
    return ServingError(Code.PERMISSION_DENIED, f"the connection file is refused: {reason}")


def _parse(content: bytes) -> Connection:
    damaged = ServingError(
        Code.DATA_LOSS, "the connection file is damaged", "Stop the engine and start it again."
    )
    if len(content) > MAX_FILE_BYTES:
        raise damaged
    try:
        document: Any = json.loads(content)
    except ValueError:
        raise damaged from None
    if not isinstance(document, dict):
        raise damaged
    values: dict[str, Any] = {name: document.get(name) for name in _TYPES}
    if not all(_has_type(values[name], types) for name, types in _TYPES.items()):
        raise damaged
    # Unknown fields are ignored, so that a newer engine's file can be read.
    return Connection(**{item.name: values[item.name] for item in fields(Connection)})


def _has_type(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)


def remove_connection(path: Path, pid: int) -> None:
    """The file is gone if it was the one of `pid`; another engine's file stays."""
    with contextlib.suppress(ServingError, OSError):
        if read_connection(path).pid == pid:
            path.unlink()


def is_alive(connection: Connection) -> bool:
    """Whether the engine's process runs.

    Not `os.kill(pid, 0)`: a container's first process may never reap, so a dead engine stays a zombie, and
    a process identifier may have been given to another process since.
    """
    try:
        process = psutil.Process(connection.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - connection.create_time) <= CREATE_TIME_TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        # Engines are the user's own processes, which psutil may look at: this one took over the number.
        return False


def list_connections(directory: Path | None = None) -> list[tuple[Path, Connection]]:
    """The engines that run now, the newest first. Files of engines that died are removed on the way."""
    found = []
    for path in (directory or runtime_directory()).glob("tfserve-*.json"):
        try:
            connection = read_connection(path)
        except ServingError:
            continue
        if is_alive(connection):
            found.append((path, connection))
        else:
            remove_connection(path, connection.pid)
    return sorted(found, key=lambda item: item[1].create_time, reverse=True)
