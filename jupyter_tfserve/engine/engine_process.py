"""One run of an engine's process: spawned, waited for, ended.

The process reads a pipe whose other side this process alone holds: if we die, even by SIGKILL, it sees the end
of file and stops by itself. It has a session of its own, so that a Ctrl-C in our terminal does not reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Final

from jupyter_tfserve.engine.log_file import bound_log, last_reason, open_log
from jupyter_tfserve.worker.forked_children import not_for_children
from jupyter_tfserve.worker.huge_pages import with_huge_pages

SECRET_VARIABLES: Final = frozenset(
    {"JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "JUPYTERHUB_OAUTH_CLIENT_SECRET"}
)
"""Not inherited: a model is a program, and the engine has no use for these."""


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without Jupyter's secrets, and with large pages for large bodies."""
    return with_huge_pages(
        {name: value for name, value in environment.items() if name not in SECRET_VARIABLES}
    )


class EngineProcess:
    """One process and its part of the log. Made by `spawn`; `end` must be called before it is dropped."""

    def __init__(
        self, process: asyncio.subprocess.Process, lifeline: FileIO, log: Path, log_start: int
    ) -> None:
        self._process = process
        self._lifeline = lifeline
        self._log = log
        self._log_start = log_start

    @classmethod
    async def spawn(
        cls, command: Sequence[str], log: Path, cwd: Path | None = None, pass_fds: Sequence[int] = ()
    ) -> EngineProcess:
        """The started process; OSError if there is no such program."""
        bound_log(log)
        descriptor = open_log(log)
        theirs, ours = os.pipe()
        lifeline = not_for_children(FileIO(ours, "w"))
        try:
            log_start = os.fstat(descriptor).st_size
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=theirs,
                stdout=descriptor,
                stderr=descriptor,
                cwd=cwd,
                env=engine_environment(os.environ),
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )
        except BaseException:
            lifeline.close()
            raise
        finally:
            os.close(theirs)
            os.close(descriptor)
        return cls(process, lifeline, log, log_start)

    @property
    def pid(self) -> int:
        """The process's identifier."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number if one ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """The exit code, when it has ended."""
        return await self._process.wait()

    def reason(self) -> str:
        """Why it ended, for a person: its own last words, or how it went."""
        code = self.exit_code
        if code is not None and code < 0:
            return f"the engine was ended by {_signal_name(-code)}"
        said = last_reason(self._log, self._log_start)
        return said if said is not None else f"the engine exited with code {code}"

    async def end(self, grace_s: float) -> None:
        """The process is gone: it is asked (end of file and SIGTERM), and killed after `grace_s`.

        A cancelled caller kills at once.
        """
        try:
            if self.exit_code is None:
                self._ask()
                await asyncio.wait_for(self._process.wait(), grace_s)
        except asyncio.TimeoutError:
            pass
        finally:
            self._kill()
            self._lifeline.close()
            await self._process.wait()

    async def gone_within(self, timeout_s: float) -> bool:
        """Whether the process ends by itself in that time."""
        try:
            await asyncio.wait_for(self._process.wait(), timeout_s)
        except asyncio.TimeoutError:
            return False
        return True

    def _ask(self) -> None:
        self._lifeline.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def _kill(self) -> None:
        if self.exit_code is not None:
            return
        # The whole group: its workers too. The leader is not reaped yet, so the number is still its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
