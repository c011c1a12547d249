"""Keeps one engine running: starts it, waits until it answers, restarts it after a crash, stops it.

Used by the Jupyter server extension on its own loop, and by kernels without one through `ThreadedSupervisor`.
It knows the engine only as a command, a connection file and a control API; imports no TensorFlow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from jupyter_tfserve.engine.connection import Connection, read_connection, remove_connection
from jupyter_tfserve.engine.control_call import ControlCaller, Reply
from jupyter_tfserve.engine.engine_process import EngineProcess
from jupyter_tfserve.engine.log_file import bound_log, tail_lines
from jupyter_tfserve.engine.supervision import (
    RestartRule,
    SupervisorOptions,
    SupervisorState,
    SupervisorStatus,
)
from jupyter_tfserve.errors import Code, ServingError

__all__ = [
    "RestartRule",
    "Supervisor",
    "SupervisorOptions",
    "SupervisorState",
    "SupervisorStatus",
    "ThreadedSupervisor",
]

POLL_S: Final = 0.01
LOG_CHECK_S: Final = 30.0
SHUTDOWN_CALL_S: Final = 3.0
LOG_HINT: Final = "The engine's log says more."

_Result = TypeVar("_Result")

Command = Callable[[Connection | None], Sequence[str]]
"""The command line, given the last run's connection: a restarted engine takes the same ports again."""


class Kept(Protocol):
    """What an owner holds on to from run to run, and hands to each by a socket that it inherits. Never blocks."""

    @property
    def flag(self) -> str:
        """The engine's flag that takes the socket's number."""

    def end_for_engine(self) -> socket.socket:
        """What the next run's process inherits; the caller closes it when the process has it."""

    def let_go(self) -> None:
        """No run follows. May be called again."""


class Supervisor:
    """One engine, kept running. REQUIRES: all calls on one event loop; `stop` before the loop ends.

    `on_change` is called on that loop with every new status; it must not raise.
    """

    def __init__(
        self,
        command: Command,
        connection_file: Path,
        log_path: Path,
        options: SupervisorOptions | None = None,
        *,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        kept: Sequence[Kept] = (),
        on_change: Callable[[SupervisorStatus], None] | None = None,
    ) -> None:
        self.connection_file = connection_file
        self.log_path = log_path
        self._command = command
        self._options = options or SupervisorOptions()
        self._cwd = cwd
        self._pass_fds = pass_fds
        self._kept = kept
        self._on_change = on_change
        self.start_again: Callable[[ServingError], bool] = lambda _error: False
        """Asked when a first start has failed: whether another try, with the command that it gets then, may do better."""
        self._caller: ControlCaller | None = None
        self._process: EngineProcess | None = None
        self._connection: Connection | None = None
        self._ready: asyncio.Future[Connection] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stop_lock = asyncio.Lock()
        self._status = SupervisorStatus(SupervisorState.STOPPED, None, None, 0, None, None)

    def status(self) -> SupervisorStatus:
        """What is true now."""
        return self._status

    def log_tail(self, lines: int) -> list[str]:
        """The last lines of the engine's log."""
        return tail_lines(self.log_path, lines)

    async def start(self) -> Connection:
        """The running engine's connection; starts it if it does not run, waits if it is being (re)started.

        FAILED_PRECONDITION with the engine's own reason if it ends before it answers, DEADLINE_EXCEEDED if it
        does not answer in time. A cancelled caller leaves the start under way; `stop` ends it.
        """
        async with self._stop_lock:
            ready = self._ready
            if ready is None or self._keeper is None or self._keeper.done():
                ready = self._expect_ready()
                self._keeper = asyncio.create_task(self._keep())
        return await asyncio.shield(ready)

    async def stop(self, *, keep_models: bool = False) -> None:
        """The engine's process is gone: drained if it obeys, killed after `stop_timeout_s`. Idempotent.

        With `keep_models` its next run serves what this one did.
        """
        async with self._stop_lock:
            if self._keeper is not None:
                self._keeper.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._keeper
                self._keeper = None
            self._fail_ready(ServingError(Code.CANCELLED, "the engine was stopped before it was ready"))
            if self._process is not None:
                self._change(SupervisorState.STOPPING)
                await self._end_process(self._process, keep_models)
            if self._caller is not None:
                self._caller.close()
                self._caller = None
            self._change(SupervisorState.STOPPED, reason=None)

    async def restart(self) -> Connection:
        """The connection of a new run."""
        await self.stop(keep_models=True)
        return await self.start()

    async def _keep(self) -> None:
        """Runs the engine again and again, until it ends as it was told to or cannot be helped."""
        try:
            await self._run_again_and_again()
        finally:
            for kept in self._kept:
                kept.let_go()

    async def _run_again_and_again(self) -> None:
        rule = RestartRule(self._options)
        restarts = 0
        first = True
        while True:
            try:
                process = await self._launch(restarts)
                # Exit code 0: somebody who holds the token told it to shut down, which is no crash.
                if await self._watch(process) == 0:
                    await self._discard_process()
                    self._change(SupervisorState.STOPPED, reason="the engine was asked to stop")
                    return
                error = ServingError(Code.UNAVAILABLE, process.reason(), LOG_HINT)
            except ServingError as failure:
                error = failure
            except Exception:  # The supervisor's loop must not end silently, whatever a run did to it.
                error = ServingError(Code.INTERNAL, "the engine could not be supervised", LOG_HINT)
            await self._discard_process()
            fails_at_first = first and self._ready_pending()
            if fails_at_first and self.start_again(error):
                continue
            # A first start that fails is a wrong setting: the next try would fail the same way.
            delay = None if fails_at_first else rule.next_delay(time.monotonic())
            first = False
            if delay is None:
                self._fail(error)
                return
            restarts += 1
            self._expect_ready()
            self._change(SupervisorState.BACKING_OFF, reason=error.message, restarts=restarts)
            await asyncio.sleep(delay)

    async def _launch(self, restarts: int) -> EngineProcess:
        """The engine's process, running and answering."""
        self._change(SupervisorState.STARTING, reason=self._status.reason, restarts=restarts)
        try:
            process = await self._spawn(self._command(self._connection))
        except OSError as error:
            raise ServingError(
                Code.FAILED_PRECONDITION, f"the engine could not be started: {error.strerror}"
            ) from None
        self._process = process
        self._connection = await self._wait_until_ready(process)
        self._change(SupervisorState.RUNNING, reason=None, started=time.time())
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(self._connection)
        return process

    async def _spawn(self, command: Sequence[str]) -> EngineProcess:
        with contextlib.ExitStack() as ends:
            numbers = {kept.flag: ends.enter_context(kept.end_for_engine()).fileno() for kept in self._kept}
            command = [*command, *(f"--{flag}={number}" for flag, number in numbers.items())]
            inherited = (*self._pass_fds, *numbers.values())
            return await EngineProcess.spawn(command, self.log_path, self._cwd, inherited)

    async def _wait_until_ready(self, process: EngineProcess) -> Connection:
        deadline = time.monotonic() + self._options.ready_timeout_s
        while time.monotonic() < deadline:
            if process.exit_code is not None:
                raise ServingError(Code.FAILED_PRECONDITION, process.reason(), LOG_HINT)
            connection = self._published_by(process)
            if connection is not None and await self._answers(connection):
                return connection
            await asyncio.sleep(POLL_S)
        raise ServingError(
            Code.DEADLINE_EXCEEDED,
            f"the engine did not answer within {self._options.ready_timeout_s:g} s",
            LOG_HINT,
        )

    def _published_by(self, process: EngineProcess) -> Connection | None:
        try:
            connection = read_connection(self.connection_file)
        except ServingError:
            return None
        # A file that an earlier run left behind names another process.
        return connection if connection.pid == process.pid else None

    async def _answers(self, connection: Connection) -> bool:
        try:
            reply = await self._call(connection, "GET", "/control/state", timeout_s=2.0)
        except ServingError:
            return False
        try:
            return reply.status == 200 and isinstance(json.loads(reply.body), dict)
        except ValueError:
            return False

    async def _call(
        self, connection: Connection, method: str, path: str, timeout_s: float, body: bytes | None = None
    ) -> Reply:
        if self._caller is None:
            self._caller = ControlCaller()
        return await self._caller.call(connection, method, path, body, timeout_s)

    async def _watch(self, process: EngineProcess) -> int:
        """The exit code, when the process has ended."""
        while not await process.gone_within(LOG_CHECK_S):
            bound_log(self.log_path)
        return await process.wait()

    async def _end_process(self, process: EngineProcess, keep_models: bool) -> None:
        if self._connection is not None and self._connection.pid == process.pid and process.exit_code is None:
            with contextlib.suppress(ServingError):
                body = b'{"keep_models": true}' if keep_models else b"{}"
                await self._call(self._connection, "POST", "/control/shutdown", SHUTDOWN_CALL_S, body)
                await process.gone_within(self._options.stop_timeout_s)
        await process.end(self._options.stop_timeout_s)
        await self._discard_process()

    async def _discard_process(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            await process.end(self._options.stop_timeout_s if process.exit_code is None else 0)
            remove_connection(self.connection_file, process.pid)

    def _expect_ready(self) -> asyncio.Future[Connection]:
        if self._ready is None or self._ready.done():
            self._ready = asyncio.get_running_loop().create_future()
        return self._ready

    def _ready_pending(self) -> bool:
        return self._ready is not None and not self._ready.done()

    def _fail(self, error: ServingError) -> None:
        self._change(SupervisorState.FAILED, reason=error.message)
        self._fail_ready(error)

    def _fail_ready(self, error: ServingError) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # seen: a start that nobody awaits any more is no unhandled error

    def _change(self, state: SupervisorState, **changes: Any) -> None:
        running = state in (SupervisorState.RUNNING, SupervisorState.STOPPING)
        old = self._status
        self._status = SupervisorStatus(
            state=state,
            pid=self._process.pid if self._process is not None else None,
            connection=self._connection if running else None,
            restarts=changes.get("restarts", old.restarts),
            reason=changes.get("reason", old.reason),
            started=changes.get("started", old.started if running else None),
        )
        if self._on_change is not None:
            self._on_change(self._status)


class ThreadedSupervisor:
    """A `Supervisor` on a thread of its own, for kernels. Calls block; safe from any thread.

    The thread is a daemon, and the engine stops by itself when this process ends.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Supervisor]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tfserve-supervisor", daemon=True)
        self._thread.start()
        self._supervisor = self._run(make())

    def start(self) -> Connection:
        """As `Supervisor.start`; an interrupt (Ctrl-C) stops what was started."""
        try:
            return self._run(self._supervisor.start())
        except KeyboardInterrupt:
            self._run(self._supervisor.stop())
            raise

    def stop(self) -> None:
        """As `Supervisor.stop`."""
        self._run(self._supervisor.stop())

    def status(self) -> SupervisorStatus:
        """What is true now."""
        return self._supervisor.status()

    def log_tail(self, lines: int) -> list[str]:
        """The last lines of the engine's log."""
        return self._supervisor.log_tail(lines)

    @property
    def connection_file(self) -> Path:
        """Where the engine describes itself."""
        return self._supervisor.connection_file

    def close(self) -> None:
        """The engine and the thread are gone. The object is of no use afterwards."""
        if self._thread.is_alive():
            self.stop()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
