"""The gRPC server: what it serves, how it starts and stops. The protocol is `http2`'s, the answers `grpc_service`'s."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from jupyter_tfserve.dataplane.accepting import Accepting, accept_from
from jupyter_tfserve.dataplane.auth import KeyRing
from jupyter_tfserve.dataplane.grpc_application import GrpcApplication
from jupyter_tfserve.dataplane.grpc_door import GrpcKeyDoor, by_path
from jupyter_tfserve.dataplane.grpc_edge import Beginner, Handler, StreamHandler
from jupyter_tfserve.dataplane.grpc_head import CallHead, HeadParser
from jupyter_tfserve.dataplane.grpc_health import HEALTH_SERVICE, HealthService
from jupyter_tfserve.dataplane.grpc_listen import cannot_listen, listen_tcp, listen_unix, remove_unix
from jupyter_tfserve.dataplane.grpc_options import server_arguments
from jupyter_tfserve.dataplane.grpc_reflection import reflection_handlers
from jupyter_tfserve.dataplane.grpc_service import GrpcServices, Predictor
from jupyter_tfserve.dataplane.http2.connection import Connection
from jupyter_tfserve.dataplane.http2.service import Http2Service
from jupyter_tfserve.dataplane.listening import end_listening
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.dataplane.tls import server_context
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.options import GrpcOptions, LimitOptions, ListenOptions, TlsOptions

__all__ = ["GrpcOptions", "GrpcServer", "Predictor"]

_TLS_HINT: Final = "Check that the key of ssl_config_file fits its certificate"

logger = logging.getLogger(__name__)


class Services(Protocol):
    """What is served beside health and reflection: `GrpcServices`, or a front's."""

    def handlers(self) -> Mapping[str, Mapping[str, Handler]]:
        """Each service's methods by name."""

    def methods(self, ring: KeyRing | None) -> dict[str, Handler]:
        """The same by `/service/name`, held to the keys of `ring` as far as that is this process's affair."""

    def beginners(self, ring: KeyRing | None) -> Mapping[str, Beginner]:
        """Those that need no coroutine by `/service/name`."""


class GrpcServer:
    """A gRPC server on the running loop, on a TCP port, a Unix socket or both, as `listen` says."""

    def __init__(
        self,
        predictor: Predictor,
        listen: ListenOptions,
        limits: LimitOptions,
        options: GrpcOptions | None = None,
        metrics: Metrics | None = None,
        keys: KeyRing | None = None,
        services: Services | None = None,
    ) -> None:
        self._keys = keys
        self._options = options or GrpcOptions()
        self._services: Services = services or GrpcServices(predictor, limits, self._options, metrics)
        self._health = HealthService()
        self._added: dict[str, Mapping[str, Handler]] = {}
        self._listen = listen
        self._limits = limits
        self._arguments = server_arguments(limits, self._options.channel_arguments)
        self._service: Http2Service[CallHead] | None = None
        self.listening: tuple[socket.socket, ...] = ()
        """The TCP sockets that it accepts from."""
        self._servers: list[Accepting] = []
        self._socket_inode = 0

    def add_service(self, name: str, handlers: Mapping[str, Handler]) -> None:
        """One more service of unary methods, which reflection lists. REQUIRES: not started."""
        self._added[name] = handlers

    def methods(self) -> dict[str, Handler]:
        """Every method by `/service/name`, held to the keys: what a front process asks in its callers' place."""
        return by_path({**self._services.handlers(), **self._added}, self._keys)

    def paths(self) -> set[str]:
        """All that can be called, health and reflection included."""
        unary, streaming = self._all_methods()
        return {*unary, *streaming}

    async def start(self, listening: Sequence[socket.socket] = ()) -> int:
        """The TCP port that it listens on now, or 0 if that is switched off; by `listening` sockets if there are any.

        UNAVAILABLE if an address cannot be had; nothing listens then. REQUIRES: not started.
        """
        for name in self._arguments.unknown:
            logger.warning("--grpc_channel_arguments: %s has no meaning for this server and is ignored", name)
        tls = None if self._options.tls is None else self._tls_context(self._options.tls)
        self.listening = tuple(listening) or self._bind_tcp()
        sockets = [*self.listening, *self._bind_unix()]
        service = self._make_service()
        for one in sockets:
            self._servers.append(
                await accept_from(one, lambda: Connection(service), service, self._limits, tls)
            )
        service.start()
        self._service = service
        return int(self.listening[0].getsockname()[1]) if self.listening else 0

    async def stop(self, grace_s: float) -> None:
        """Takes no more calls, lets those in flight end within `grace_s`, cancels the rest. Idempotent."""
        service, self._service = self._service, None
        if service is None:
            return
        self._health.close()
        end_listening(self.listening)
        for server in self._servers:
            server.close()
        self._servers, self.listening = [], ()
        if self._socket_inode:
            remove_unix(self._listen.grpc_socket_path, self._socket_inode)
        await service.drain(grace_s)

    def set_serving(self, is_serving: bool) -> None:
        """What the health service says from now on; SERVING at first."""
        self._health.set_serving(is_serving)

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return 0 if self._service is None else len(self._service.connections)

    def _all_methods(self) -> tuple[dict[str, Handler], dict[str, StreamHandler]]:
        unary = {**self._services.methods(self._keys), **by_path(self._added, self._keys)}
        streaming: dict[str, StreamHandler] = {}
        if self._options.enable_grpc_healthcheck_service:
            unary.update(self._health.handlers())
            streaming.update(self._health.stream_handlers())
        services = dict.fromkeys(path.split("/")[1] for path in unary)
        streaming.update(reflection_handlers(services))
        return unary, streaming

    def _make_service(self) -> Http2Service[CallHead]:
        arguments = self._arguments
        parser = HeadParser(
            *self._all_methods(),
            arguments.http2.max_header_bytes,
            self._limits.max_headers,
            self._services.beginners(self._keys),
        )
        door = None
        if self._keys is not None and self._keys.required:
            # Health tells a load balancer yes or no, and nothing else.
            door = GrpcKeyDoor(self._keys, public=HEALTH_SERVICE).check
        return Http2Service(GrpcApplication(parser, arguments.calls, door), arguments.http2)

    def _bind_tcp(self) -> tuple[socket.socket, ...]:
        listen = self._listen
        if not listen.grpc_port:
            return ()
        return tuple(listen_tcp(listen.host, max(listen.grpc_port, 0), self._arguments.reuse_port))

    def _bind_unix(self) -> tuple[socket.socket, ...]:
        """The Unix socket; if it cannot be had, the TCP sockets are closed too."""
        path = self._listen.grpc_socket_path
        if not path:
            return ()
        try:
            listening = listen_unix(path)
        except ServingError:
            for one in self.listening:
                one.close()
            raise
        self._socket_inode = os.stat(path).st_ino
        return (listening,)

    def _tls_context(self, tls: TlsOptions) -> ssl.SSLContext:
        try:
            return server_context(tls, "h2")
        except ServingError:
            listen = self._listen
            where = f"on {listen.host}:{max(listen.grpc_port, 0)}" if listen.grpc_port else "on its socket"
            raise cannot_listen(where, _TLS_HINT) from None
