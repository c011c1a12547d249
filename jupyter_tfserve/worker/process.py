"""A worker's process as the engine holds it, and what starting one takes, whoever starts it.

Belongs to the engine's event loop. Imports no TensorFlow.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import site
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from jupyter_tfserve.worker.death import Death, death
from jupyter_tfserve.worker.huge_pages import without_huge_pages
from jupyter_tfserve.worker.memory import oom_kills
from jupyter_tfserve.worker.order import WorkerOrder

PACKAGE_ROOT: Final = Path(__file__).parents[2]
"""The folder that holds our package, which a checkout's interpreter may not know of."""


class Launcher(Protocol):
    """Starts worker processes."""

    async def start(self) -> None:
        """Gets warm; returns at once."""

    async def ready(self) -> None:
        """Returns when a launch would begin at once; ServingError if none ever will."""

    async def launch(self, order: WorkerOrder, sockets: Sequence[socket.socket]) -> WorkerProcess:
        """A process that has `sockets`, control, side, then its lanes, and follows `order`."""

    async def close(self) -> None:
        """The launcher's own processes are gone afterwards; workers are not touched."""


class WorkerProcess:
    """A process. `exited` resolves with its exit code: negative for a signal, None if unknown."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._is_killed = False
        self._oom_kills = oom_kills()
        self._pidfd = _open_pidfd(pid)

    def kill(self) -> None:
        """SIGKILL, unless the process has ended already."""
        if self.exited.done():
            return
        self._is_killed = True
        with contextlib.suppress(ProcessLookupError):
            # Through a pidfd the signal can't hit a stranger that has got the number since.
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            elif not hasattr(os, "pidfd_open"):
                os.kill(self.pid, signal.SIGKILL)

    @property
    def death(self) -> Death:
        """How it ended. REQUIRES: `exited` is done."""
        before, now = self._oom_kills, oom_kills()
        kills = None if before is None or now is None else now - before
        return death(self.exited.result(), self._is_killed, kills)

    def end(self, status: int | None) -> None:
        """The process is gone, and reaped."""
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if not self.exited.done():
            self.exited.set_result(status)

    def watch_alone(self) -> None:
        """From now on nobody reports this process's end: watch for it."""
        if self._pidfd is None:
            self.end(None)
        else:
            asyncio.get_running_loop().add_reader(self._pidfd, self.end, None)


def start_module(
    module: str,
    arguments: Sequence[str],
    sockets: Sequence[socket.socket],
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Runs a module of ours with our interpreter; it inherits `sockets`, their numbers unchanged. `environment` is a
    worker's unless it is given."""
    return subprocess.Popen(  # noqa: S603  our own interpreter and module
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=2,  # what a model prints belongs in the log, never in a protocol on standard output
        pass_fds=[one.fileno() for one in sockets],
        env=worker_environment() if environment is None else environment,
    )


def worker_environment() -> dict[str, str]:
    """What our processes inherit: the engine's own, without Jupyter's tokens, which a model has no business to read."""
    inherited = without_huge_pages(os.environ)
    kept = {name: value for name, value in inherited.items() if not _is_jupyter_token(name)}
    # numpy's own threads would be the only ones in the fork server; TensorFlow doesn't use them.
    kept["OPENBLAS_NUM_THREADS"] = "1"
    # The folder that the user works in must not shadow modules that we import.
    kept["PYTHONSAFEPATH"] = "1"
    # GPUs are counted as the driver's own program does, and no session takes all of one's memory at its start,
    # whoever made it.
    kept.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    kept.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    root = str(PACKAGE_ROOT)
    if root not in [*site.getsitepackages(), site.getusersitepackages()]:
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [root, kept.get("PYTHONPATH")]))
    return kept


def _is_jupyter_token(name: str) -> bool:
    return name.startswith(("JUPYTER", "JPY_")) and "TOKEN" in name


def _open_pidfd(pid: int) -> int | None:
    # OSError: the process has ended, and its exit is about to be reported; or the kernel is too old.
    with contextlib.suppress(AttributeError, OSError):
        return os.pidfd_open(pid)
    return None
