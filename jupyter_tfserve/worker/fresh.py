"""Worker processes without a fork server, where forking a process that has imported TensorFlow is not safe.

Each imports TensorFlow for itself: seconds instead of 0.05 s, and no shared memory. Belongs to the engine's
event loop. Imports no TensorFlow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import asdict

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.worker.order import WorkerOrder
from jupyter_tfserve.worker.process import WorkerProcess, start_module


class FreshLauncher:
    """Starts `python -m jupyter_tfserve.worker.main` per worker."""

    async def start(self) -> None:
        """Nothing to get warm."""

    async def ready(self) -> None:
        """Always."""

    async def launch(self, order: WorkerOrder, sockets: Sequence[socket.socket]) -> WorkerProcess:
        """A process that has `sockets`, control, side, then its lanes, and follows `order`."""
        arguments = [json.dumps(asdict(order)), *(str(one.fileno()) for one in sockets)]
        try:
            popen = start_module("jupyter_tfserve.worker.main", arguments, sockets)
        except OSError as error:
            text = f"No process can be started: {error.strerror}"
            raise ServingError(Code.RESOURCE_EXHAUSTED, text) from error
        process = WorkerProcess(popen.pid)
        loop = asyncio.get_running_loop()
        # A thread of its own: these waits would fill the loop's executor.
        threading.Thread(target=_report_exit, args=(popen, process, loop), daemon=True).start()
        return process

    async def close(self) -> None:
        """It has no process of its own."""


def _report_exit(
    popen: subprocess.Popen[bytes], process: WorkerProcess, loop: asyncio.AbstractEventLoop
) -> None:
    status = popen.wait()
    # RuntimeError: the loop has been closed, so nobody waits for this any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(process.end, status)
