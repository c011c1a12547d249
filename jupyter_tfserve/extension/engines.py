"""The engines that this Jupyter server owns, by name: made when asked for, all gone when it stops."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from logging import Logger
from typing import Any, Final

from jupyter_tfserve.engine.connection import Connection
from jupyter_tfserve.engine.control_call import ControlCaller, Reply
from jupyter_tfserve.engine.launch import Launched, LaunchOptions, prepare_engine
from jupyter_tfserve.engine.supervisor import SupervisorOptions, SupervisorState, SupervisorStatus
from jupyter_tfserve.errors import Code, ServingError, invalid_argument, not_found
from jupyter_tfserve.extension.config import LOOPBACK_HOSTS, ExtensionOptions
from jupyter_tfserve.extension.engine_connections import EngineConnections

DEFAULT_ENGINE: Final = "default"
MAX_ENGINES: Final = 8
START_HINT: Final = "Start it with `%tfserve start PATH` in a notebook, or in the model serving sidebar."
_ENDED: Final = (SupervisorState.STOPPED, SupervisorState.FAILED)
_NAME: Final = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What a caller wants started. Ports and host of None: as configured; `require_keys`: more than configured."""

    name: str = DEFAULT_ENGINE
    rest_port: int | None = None
    grpc_port: int | None = None
    host: str | None = None
    require_keys: bool = False


@dataclass(slots=True)
class OwnedEngine:
    """One engine: its supervisor, and what it was asked to be. `start_lock` makes starts one at a time."""

    name: str
    request: EngineRequest
    launched: Launched | None = None
    notes: tuple[str, ...] = ()
    start_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def status(self) -> SupervisorStatus | None:
        """None before the first start."""
        return None if self.launched is None else self.launched.supervisor.status()

    def to_json(self) -> dict[str, Any]:
        """The engine as the API shows it: addresses and the connection file's place, never the token."""
        status = self.status()
        connection = None if status is None else status.connection
        supervisor = None if self.launched is None else self.launched.supervisor
        return {
            "name": self.name,
            "state": "stopped" if status is None else status.state.value,
            "pid": None if status is None else status.pid,
            "rest_url": None if connection is None else connection.rest_url,
            "grpc_address": None if connection is None else connection.grpc_address,
            "version": None if connection is None else connection.version,
            "api_level": None if connection is None else connection.api_level,
            "connection_file": None
            if connection is None or supervisor is None
            else str(supervisor.connection_file),
            "restarts": 0 if status is None else status.restarts,
            "reason": None if status is None else status.reason,
            "started": None if status is None else status.started,
            "notes": list(self.notes),
        }


class Engines:
    """REQUIRES: used on the Jupyter server's event loop only."""

    def __init__(self, options: ExtensionOptions, log: Logger) -> None:
        self._options = options
        self._log = log
        self._engines: dict[str, OwnedEngine] = {}
        self._last_request: float | None = None
        self._requests = 0
        self._caller: ControlCaller | None = None
        self.connections = EngineConnections()
        """Those of the data plane's requests."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after whatever may have changed an engine; must not raise."""

    def all(self) -> list[OwnedEngine]:
        """Every engine that was asked for and not removed."""
        return list(self._engines.values())

    def get(self, name: str) -> OwnedEngine:
        """The engine of that name, running or not; NOT_FOUND."""
        engine = self._engines.get(name)
        if engine is None:
            raise not_found(f"there is no engine named '{name}'", START_HINT)
        return engine

    def connection(self, name: str) -> Connection:
        """Where the engine listens now; UNAVAILABLE while it does not run."""
        engine = self._engines.get(name)
        status = None if engine is None else engine.status()
        if status is None or status.state in (SupervisorState.STOPPED, SupervisorState.STOPPING):
            raise ServingError(Code.UNAVAILABLE, "no model server is running", START_HINT)
        if status.connection is None:
            hint = (
                "Its log names the reason." if status.state is SupervisorState.FAILED else "Try again soon."
            )
            detail = f": {status.reason}" if status.reason else ""
            raise ServingError(Code.UNAVAILABLE, f"the model server is {status.state.value}{detail}", hint)
        return status.connection

    async def call(self, name: str, method: str, path: str, body: bytes | None, timeout_s: float) -> Reply:
        """The engine's answer to a call of its control API; UNAVAILABLE while it does not run."""
        connection = self.connection(name)
        if self._caller is None:
            self._caller = ControlCaller()
        try:
            return await self._caller.call(connection, method, path, body, timeout_s)
        finally:
            if method != "GET":
                self.on_change()

    async def start(self, request: EngineRequest) -> OwnedEngine:
        """The running engine of that name, started if need be.

        One that runs already is returned as it is; a note says so when other ports were asked for.
        """
        self._check(request)
        engine = self._engines.setdefault(request.name, OwnedEngine(request.name, request))
        async with engine.start_lock:
            status = engine.status()
            if status is None or status.state in _ENDED:
                await self._prepare_again(engine, request)
            elif _differ(request, engine.request):
                engine.notes = ("The server runs already; stop it first to change its ports.",)
            else:
                engine.notes = self._launched(engine).notes
            try:
                await self._launched(engine).supervisor.start()
            except ServingError:
                self._release(engine)
                raise
        return engine

    async def restart(self, name: str) -> OwnedEngine:
        """The engine in a new process, on the ports that it had."""
        engine = self.get(name)
        async with engine.start_lock:
            status = engine.status()
            if status is None or status.state in _ENDED:
                await self._prepare_again(engine, engine.request)
            await self._launched(engine).supervisor.restart()
        return engine

    async def stop(self, name: str) -> None:
        """The engine is gone, from the list too. A start under way ends with CANCELLED."""
        engine = self.get(name)
        if engine.launched is not None:
            await engine.launched.supervisor.stop()
        async with engine.start_lock:
            if engine.launched is not None:
                await engine.launched.supervisor.stop()
            self._release(engine)
            if self._engines.get(name) is engine:
                del self._engines[name]
            self.on_change()

    async def stop_all(self) -> None:
        """No engine is left."""
        results = await asyncio.gather(
            *(self.stop(name) for name in list(self._engines)), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                self._log.warning("tfserve: an engine did not stop cleanly: %s", type(result).__name__)
        self.connections.close()
        if self._caller is not None:
            self._caller.close()
            self._caller = None

    def log_tail(self, name: str, lines: int) -> list[str]:
        """The last lines of the engine's log."""
        engine = self.get(name)
        return [] if engine.launched is None else engine.launched.supervisor.log_tail(lines)

    def request_began(self) -> None:
        """A proxied request is under way. Each call is answered by one of `request_ended`."""
        self._requests += 1

    def request_ended(self) -> None:
        """It is over."""
        self._requests -= 1
        self._last_request = time.monotonic()

    def is_active(self) -> bool:
        """Whether requests were served a short time ago: a busy model server is no idle Jupyter server."""
        if self._requests > 0:
            return True
        if self._last_request is None:
            return False
        return time.monotonic() - self._last_request < self._options.activity_window_s

    def _check(self, request: EngineRequest) -> None:
        if _NAME.fullmatch(request.name) is None:
            raise invalid_argument("an engine's name is made of letters, digits, '_', '.' and '-'")
        if request.name not in self._engines and len(self._engines) >= MAX_ENGINES:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED, f"there are {MAX_ENGINES} engines already", "Stop one of them."
            )
        for port in (request.rest_port, request.grpc_port):
            if port is not None and not -1 <= port < 65536:
                raise invalid_argument(f"a port is a number from -1 (a free one) to 65535; was {port}")
        if request.host is not None and request.host not in (*LOOPBACK_HOSTS, self._options.host):
            raise ServingError(
                Code.PERMISSION_DENIED,
                f"this Jupyter server does not let its engines listen on '{request.host}'",
                "To allow it, set c.TFServe.host in jupyter_server_config.py.",
            )

    async def _prepare_again(self, engine: OwnedEngine, request: EngineRequest) -> None:
        # What ended holds its state directory no more: the next run may take it.
        self._release(engine)
        launch = LaunchOptions(
            host=request.host or self._options.host,
            rest_port=self._options.rest_port if request.rest_port is None else request.rest_port,
            grpc_port=self._options.grpc_port if request.grpc_port is None else request.grpc_port,
            arguments=(
                *self._options.engine_arguments,
                *(("--require_keys",) if request.require_keys else ()),
            ),
            jupyter_server_pid=os.getpid(),
        )
        supervision = SupervisorOptions(
            ready_timeout_s=self._options.ready_timeout_s, stop_timeout_s=self._options.stop_timeout_s
        )
        try:
            engine.launched = await prepare_engine(
                self._options.root_dir,
                launch,
                name=engine.name,
                supervision=supervision,
                on_change=lambda status: self._log_change(engine.name, status),
            )
        except ServingError:
            # It never was one: a taken port, say.
            if engine.launched is None:
                self._engines.pop(engine.name, None)
            raise
        engine.request = request
        engine.notes = self._launched(engine).notes

    def _launched(self, engine: OwnedEngine) -> Launched:
        if engine.launched is None:
            raise ServingError(Code.CANCELLED, "the engine was stopped")
        return engine.launched

    def _release(self, engine: OwnedEngine) -> None:
        if engine.launched is not None:
            engine.launched.close()

    def _log_change(self, name: str, status: SupervisorStatus) -> None:
        suffix = f" ({status.reason})" if status.reason else ""
        self._log.info("tfserve: engine %s is %s%s", name, status.state.value, suffix)
        self.on_change()


def _differ(request: EngineRequest, running: EngineRequest) -> bool:
    asked = (request.rest_port, request.grpc_port, request.host)
    have = (running.rest_port, running.grpc_port, running.host)
    return any(new is not None and new != old for new, old in zip(asked, have, strict=True))
