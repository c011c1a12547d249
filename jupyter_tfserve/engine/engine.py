"""The composition root: makes every part, starts them in order, and stops them in the reverse order.

One event loop owns all of it. Ports are open before any model is loaded, so that health can be asked at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import time
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil

from jupyter_tfserve._version import __version__
from jupyter_tfserve.codec.monitoring_config import DEFAULT_PATH
from jupyter_tfserve.codec.protos import SESSION_SERVICE
from jupyter_tfserve.dataplane.admission import ModelFlows
from jupyter_tfserve.dataplane.auth import KeyRing
from jupyter_tfserve.dataplane.grpc_server import GrpcServer
from jupyter_tfserve.dataplane.grpc_service import GrpcServices
from jupyter_tfserve.dataplane.http_message import HttpBeginner, HttpHandler, HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.http_server import HttpServer
from jupyter_tfserve.dataplane.key_door import KeyDoor
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.dataplane.metrics_door import with_metrics
from jupyter_tfserve.dataplane.predict import DataPlane
from jupyter_tfserve.dataplane.profiler import ProfilerService
from jupyter_tfserve.dataplane.profiler_messages import PROFILER_SERVICE
from jupyter_tfserve.dataplane.rest import RestApi
from jupyter_tfserve.dataplane.session_run import SessionService
from jupyter_tfserve.dataplane.tls import server_context
from jupyter_tfserve.engine.access_calls import AccessCalls
from jupyter_tfserve.engine.batching_calls import BatchingCalls
from jupyter_tfserve.engine.connection import API_LEVEL, Connection, write_connection
from jupyter_tfserve.engine.control import ControlApi
from jupyter_tfserve.engine.control_calls import ControlCalls
from jupyter_tfserve.engine.event_loop import LateCollector
from jupyter_tfserve.engine.figures import Figures
from jupyter_tfserve.engine.front_desk import FrontDesk
from jupyter_tfserve.engine.fronts import Fronts
from jupyter_tfserve.engine.gauges import EngineMetrics
from jupyter_tfserve.engine.initial_models import InitialModels
from jupyter_tfserve.engine.kept_ports import ListeningSockets, OwnerPorts
from jupyter_tfserve.engine.live_batching import LiveBatching
from jupyter_tfserve.engine.live_replicas import LiveReplicas
from jupyter_tfserve.engine.parent import parent_ended
from jupyter_tfserve.engine.replica_calls import ReplicaCalls
from jupyter_tfserve.engine.request_log import RequestLog
from jupyter_tfserve.engine.version_runtime import LiveSettings, VersionRuntime
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.folder_lock import hold_state_folder
from jupyter_tfserve.lifecycle.history import EventKind, History
from jupyter_tfserve.lifecycle.manager import LOAD_CANCELLED
from jupyter_tfserve.lifecycle.states import CONCLUDED_STATES, LifecycleState
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.options import EngineOptions
from jupyter_tfserve.types import ModelSpec, ServableId
from jupyter_tfserve.worker.handover import OwnerSocket
from jupyter_tfserve.worker.pool import WorkerPool, best_launcher

logger = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
DRAIN_S: Final = 10.0
"""How long a stop waits for requests that are under way."""
_STATE_WAIT_S: Final = 5.0
"""How long a start waits for another engine to let go of the state folder."""


class Engine:
    """One model server. `run` is its whole life."""

    def __init__(self, options: EngineOptions, initial: InitialModels) -> None:
        self._options = options
        self._initial = initial
        self._stopping = asyncio.Event()
        self._keep_models = False
        self._is_ending = False
        self._is_configured = False
        self._started = time.time()
        self._parent = os.getppid()
        self._token = secrets.token_urlsafe(32)
        self._tasks: set[asyncio.Task[None]] = set()
        self._metrics = Metrics(self._is_served)
        owner = None if options.owner_socket is None else OwnerSocket(options.owner_socket)
        self._owner_ports = None if options.owner_ports is None else OwnerPorts(options.owner_ports)
        self._pool = WorkerPool(options.worker, best_launcher(owner))
        self._history = History(options.state_dir)
        self._core: ServerCore[VersionRuntime] = ServerCore(
            self._make_version, options.lifecycle, StateStore(options.state_dir), self._history
        )
        self._live_batching = LiveBatching()
        self._core.add_state_listener(self._live_batching.configure)
        self._live_replicas = LiveReplicas(options.worker.replicas)
        self._core.add_state_listener(self._live_replicas.configure)
        self._request_log = RequestLog(options.worker.saved_model_tags, self._metrics.request_logged)
        self._engine_metrics = EngineMetrics(self._metrics, self._core, self._open_connections)
        self._figures = Figures(self._core)
        self._collector = LateCollector()
        self._flows = ModelFlows()
        self._keys = KeyRing(options.listen.keys_required)
        self._fronts: Fronts | None = None
        self._make_doors()
        self.rest_url: str | None = None
        self.grpc_address: str | None = None

    def _is_served(self, model: str) -> bool:
        return any(served.name == model for served in self._core.desired.models)

    def _make_doors(self) -> None:
        listen, limits = self._options.listen, self._options.limits
        data_plane = DataPlane(self._core)

        def log_requests(state: DesiredState) -> None:
            data_plane.request_log = self._request_log if self._request_log.configure(state.models) else None

        self._core.add_state_listener(log_requests)
        access = AccessCalls(self._core, self._history, self._keys.required)
        calls = ControlCalls(self._core, self._history, self._figures, self.describe, self._shut_down, access)
        rest = RestApi(
            data_plane,
            limits,
            listen.rest_timeout_ms,
            calls.listing,
            self.is_ready,
            listen.rest_enable_cors,
            self._options.grpc.enable_signature_method_name_check,
            self._metrics.rest,
        )
        local_only = listen.host in (LOOPBACK, "::1", "localhost")
        path = listen.rest_metrics_path
        handler = self._with_metrics(path, rest.handle) if path else rest.handle
        tls = self._options.grpc.tls
        context = server_context(tls) if tls else None
        # A page may make its visitor's browser ask; it cannot read the answer without CORS, but the model runs.
        self._rest = HttpServer(handler, limits, local_only, context, listen.rest_enable_cors)
        self._admit_by_state(data_plane, handler, rest.begin)
        router = calls.router()
        BatchingCalls(self._core, self._history, self._options.batching).add_routes(router)
        ReplicaCalls(self._core, self._history).add_routes(router)
        # Whoever holds the token may always see the metrics.
        handler = self._with_metrics(path or DEFAULT_PATH, rest.handle)
        self._control = HttpServer(self._confirmed(ControlApi(router, self._token, handler).handle), limits)
        self._grpc = self._make_grpc(data_plane)
        self._fronts = self._make_fronts(data_plane) if self._options.front_processes > 1 else None

    def _admit_by_state(self, data_plane: DataPlane, rest: HttpHandler, begin: HttpBeginner) -> None:
        """Keys and limits are in the way of requests only while there are any."""
        door = KeyDoor(self._keys, rest)

        def configure(state: DesiredState) -> None:
            data_plane.flows = self._flows if self._flows.configure(state.limits) else None
            self._keys.configure(state.keys)
            if self._fronts is not None:
                self._fronts.configure(state.keys)
            if self._keys.is_used:
                self._rest.put_before(door.handle, door.refusal_of_head)
            else:
                self._rest.put_before(rest, None, begin)

        self._core.add_state_listener(configure)

    def _with_metrics(self, path: str, handler: HttpHandler) -> HttpHandler:
        """The metrics page at `path`, with all that the fronts have counted."""
        page = with_metrics(path, self._engine_metrics.page, handler)

        async def handle(request: HttpRequest) -> HttpResponse:
            if self._fronts is not None and request.target.partition("?")[0] == path:
                await self._fronts.counted()
            return await page(request)

        return page if self._options.front_processes == 1 else handle

    def _confirmed(self, handler: HttpHandler) -> HttpHandler:
        """A change is acknowledged when every front goes by it."""

        async def handle(request: HttpRequest) -> HttpResponse:
            response = await handler(request)
            if self._fronts is not None and request.method != "GET":
                await self._fronts.confirmed()
            return response

        return handle

    def _make_fronts(self, data_plane: DataPlane) -> Fronts:
        methods = self._grpc.methods()
        desk = FrontDesk(data_plane, self._keys, lambda: self._rest.handler, methods, self._metrics)
        services: dict[str, tuple[str, ...]] = {}
        for path in methods:
            _, service, name = path.split("/")
            services[service] = (*services.get(service, ()), name)
        return Fronts(self._options, desk, services)

    def _make_grpc(self, data_plane: DataPlane) -> GrpcServer:
        options = self._options
        # The fronts have the TCP port; a Unix socket is served by the engine itself.
        listen = options.listen if options.front_processes == 1 else replace(options.listen, grpc_port=0)
        limits, grpc, metrics = options.limits, options.grpc, self._metrics
        services = GrpcServices(data_plane, limits, grpc, metrics, beginner=data_plane)
        server = GrpcServer(data_plane, listen, limits, grpc, metrics, self._keys, services)
        if options.grpc.enable_profiler:
            server.add_service(PROFILER_SERVICE, ProfilerService(lambda: self._pool.workers).handlers())
        if options.grpc.enable_session_run:
            server.add_service(SESSION_SERVICE, SessionService(data_plane, options.limits).handlers())
        return server

    async def run(self) -> None:
        """Serves until SIGTERM, SIGINT, a shutdown call or the parent's end. ServingError if it can't start."""
        try:
            await self._start()
            await self._stopping.wait()
        finally:
            await self._stop()

    def is_ready(self) -> bool:
        """Whether the initial configuration was taken and every model's first load is over, for better or worse."""
        self._is_configured = self._is_configured or self._initial.is_known(self._core)
        return self._is_configured and not any(
            self._core.first_load_pending(ModelSpec(model.config.name)) for model in self._core.states()
        )

    def describe(self) -> dict[str, Any]:
        """The engine's own part of the state document."""
        return {
            "pid": os.getpid(),
            "version": __version__,
            "api_level": API_LEVEL,
            "started": self._started,
            "rest_url": self.rest_url,
            "grpc_address": self.grpc_address,
            "ready": self.is_ready(),
            "keys_required": self._keys.required,
            "devices": [gpu.to_json() for gpu in self._pool.gpus],
        }

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        if self._options.exit_with_parent:
            self._run_beside(self._watch_parent())
        self._engine_metrics.start()
        self._figures.start()
        self._core.manager.add_listener(self._log_state)
        if self._options.state_dir is not None:
            await asyncio.to_thread(hold_state_folder, self._options.state_dir, _STATE_WAIT_S)
        await self._pool.start()
        for note in await self._core.start():
            logger.warning("%s", note)
        self._run_beside(self._initial.apply(self._core))
        await self._initial.wait_known(self._core)
        control_port = await self._listen()
        if self._options.connection_file is not None:
            write_connection(self._options.connection_file, self._connection(control_port))
        logger.info("Serving REST at %s, gRPC at %s", self.rest_url or "(off)", self.grpc_address or "(off)")

    async def _listen(self) -> int:
        listen = self._options.listen
        kept = ListeningSockets() if self._owner_ports is None else self._owner_ports.take()
        if self._fronts is None:
            rest_port = await self._listen_rest(kept)
            grpc_port = await self._grpc.start(kept.grpc)
            held = ListeningSockets(self._rest.listening, self._grpc.listening)
        else:
            await self._grpc.start()
            rest_port, grpc_port = await self._fronts.start(kept)
            held = self._fronts.listening
        if self._owner_ports is not None:
            self._owner_ports.give(held)
        if rest_port:
            scheme = "https" if self._options.grpc.tls else "http"
            self.rest_url = f"{scheme}://{_reachable(listen.host)}:{rest_port}"
        if listen.grpc_port:
            self.grpc_address = f"{_reachable(listen.host)}:{grpc_port}"
        return await self._control.start(LOOPBACK, 0)

    async def _listen_rest(self, kept: ListeningSockets) -> int:
        """The REST port; 0 if it is off."""
        listen = self._options.listen
        if kept.rest:
            return await self._rest.serve(kept.rest)
        return await self._rest.start(listen.host, max(listen.rest_port, 0)) if listen.rest_port else 0

    def _shut_down(self, keep_models: bool) -> None:
        """Ends `run`; with `keep_models` the next engine on this state folder serves what this one does."""
        self._keep_models = keep_models
        self._stopping.set()

    async def _stop(self) -> None:
        """No new requests, then answers, then models, then processes; whatever did not start is skipped."""
        self._is_ending = True
        if self._options.connection_file is not None:
            # A folder that has become read-only must not keep the engine from stopping in order.
            with contextlib.suppress(OSError):
                self._options.connection_file.unlink()
        self._engine_metrics.stop()
        self._figures.stop()
        for task in self._tasks:
            task.cancel()
        if self._fronts is not None:
            await self._fronts.stop(DRAIN_S)
        await asyncio.gather(self._rest.stop(DRAIN_S), self._grpc.stop(DRAIN_S), self._control.stop(DRAIN_S))
        await self._request_log.close()
        await self._core.close(self._keep_models, drain_timeout_s=DRAIN_S)
        await self._pool.close()
        if self._owner_ports is not None:
            self._owner_ports.close()

    def _open_connections(self) -> dict[str, int]:
        rest = self._rest.open_connections if self._fronts is None else self._fronts.open_connections
        return {"rest": rest, "control": self._control.open_connections}

    def _make_version(self, servable: ServableId, path: Path) -> VersionRuntime:
        return VersionRuntime(
            servable,
            path,
            self._pool,
            self._options,
            self._record,
            self._metrics,
            LiveSettings(self._live_batching, self._live_replicas),
            self._core.give_up,
        )

    def _log_state(
        self, servable: ServableId, before: LifecycleState | None, after: LifecycleState, message: str
    ) -> None:
        """One line for the operator when a version serves, has ended or could not be loaded."""
        if after is LifecycleState.AVAILABLE:
            self._flows.became_available(servable.name)
        if after is LifecycleState.END:
            self._collector.collect_soon()
        if message == LOAD_CANCELLED and self._is_ending:
            return  # no news to whoever ends the server, or reads why it could not start
        if message:
            logger.warning("%s: %s, %s", servable, after.name, message)
        elif after in CONCLUDED_STATES:
            logger.info("%s: %s", servable, after.name)

    def _record(self, kind: EventKind, servable: ServableId, detail: str) -> None:
        self._history.record(kind, servable.name, servable.version, detail)

    def _connection(self, control_port: int) -> Connection:
        return Connection(
            pid=os.getpid(),
            create_time=psutil.Process().create_time(),
            control_url=f"http://{LOOPBACK}:{control_port}",
            token=self._token,
            rest_url=self.rest_url,
            grpc_address=self.grpc_address,
            version=__version__,
            api_level=API_LEVEL,
            jupyter_server_pid=self._options.jupyter_server_pid,
            owner_pid=self._parent,
        )

    def _run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _logged(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ServingError as error:
            logger.error("%s", error)

    async def _watch_parent(self) -> None:
        await parent_ended(self._parent)
        logger.info("The parent is gone; stopping")
        self._stopping.set()


def _reachable(host: str) -> str:
    """An address that a client on this machine can use for a server that listens on `host`."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return LOOPBACK
    return f"[{host}]" if ":" in host else host
