"""The gRPC server: where it listens, how it starts and stops. What it answers is `grpc_service`'s."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Mapping
from typing import Any, Final, Protocol

import grpc.aio

from jupyter_tfserve.dataplane.auth import KeyRing
from jupyter_tfserve.dataplane.grpc_door import KeyInterceptor, guarded
from jupyter_tfserve.dataplane.grpc_edge import Handler, generic_handler
from jupyter_tfserve.dataplane.grpc_health import HEALTH_SERVICE, HealthService
from jupyter_tfserve.dataplane.grpc_reflection import reflection_handlers
from jupyter_tfserve.dataplane.grpc_service import GrpcServices, Predictor
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.dataplane.tls import server_credentials
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import ChannelArguments, GrpcOptions, LimitOptions, ListenOptions

__all__ = ["GrpcOptions", "GrpcServer", "Predictor"]

_UNLIMITED: Final = -1
_SOCKET_MODE: Final = 0o600

logger = logging.getLogger(__name__)


class Services(Protocol):
    """What is served beside health and reflection: `GrpcServices`, or a front's."""

    @property
    def names(self) -> list[str]:
        """The services' names."""

    def handlers(self) -> Mapping[str, Mapping[str, Handler]]:
        """Each service's methods by name."""

    def generic_handlers(self, ring: KeyRing | None = None) -> list[Any]:
        """The handlers to add to a grpc.aio server; `ring` has the keys that open them."""


class GrpcServer:
    """A grpc.aio server on the running loop, on a TCP port, a Unix socket or both, as `listen` says."""

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
        self._server: Any = None

    def add_service(self, name: str, handlers: Mapping[str, Handler]) -> None:
        """One more service of unary methods, which reflection lists. REQUIRES: not started."""
        self._added[name] = handlers

    def methods(self) -> dict[str, Handler]:
        """Every method by `/service/name`, held to the keys: what a front process asks in its callers' place."""
        found = {**self._services.handlers(), **self._added}
        return {
            path: handler if self._keys is None else guarded(self._keys, path, handler)
            for service, methods in found.items()
            for name, handler in methods.items()
            for path in [f"/{service}/{name}"]
        }

    async def start(self) -> int:
        """The TCP port that it listens on now, or 0 if that is switched off.

        UNAVAILABLE if an address cannot be had; nothing listens then. REQUIRES: not started.
        """
        server = grpc.aio.server(
            options=_channel_options(self._limits, self._options.channel_arguments),
            maximum_concurrent_rpcs=self._limits.max_connections,
            interceptors=self._interceptors(),
        )
        server.add_generic_rpc_handlers(tuple(self._handlers()))
        try:
            port = self._bind(server)
            await server.start()
        except BaseException:
            await server.stop(None)
            raise
        self._server = server
        return port

    async def stop(self, grace_s: float) -> None:
        """Takes no more calls, lets those in flight end within `grace_s`, cancels the rest. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            self._health.close()
            await server.stop(grace_s)

    def set_serving(self, is_serving: bool) -> None:
        """What the health service says from now on; SERVING at first."""
        self._health.set_serving(is_serving)

    def _handlers(self) -> list[Any]:
        handlers = self._services.generic_handlers(self._keys)
        services = self._services.names
        if self._options.enable_grpc_healthcheck_service:
            handlers.append(self._health.generic_handler())
            services.append(HEALTH_SERVICE)
        added = [generic_handler(name, methods, self._keys) for name, methods in self._added.items()]
        return [*handlers, *added, *reflection_handlers([*services, *self._added])]

    def _interceptors(self) -> list[KeyInterceptor] | None:
        if self._keys is None or not self._keys.required:
            return None
        # Health tells a load balancer yes or no, and nothing else.
        return [KeyInterceptor(self._keys, public=HEALTH_SERVICE)]

    def _bind(self, server: Any) -> int:
        listen, tls = self._listen, self._options.tls
        credentials = None if tls is None else server_credentials(tls)
        if listen.grpc_socket_path:
            _bind_socket(server, listen.grpc_socket_path, credentials)
        if listen.grpc_port == 0:
            return 0
        return _bind_port(server, listen.host, max(listen.grpc_port, 0), credentials)


def _channel_options(limits: LimitOptions, arguments: ChannelArguments) -> list[tuple[str, int | str]]:
    """Ours, and the user's in their place where both name the same."""
    options: dict[str, int | str] = {
        # Without this a second server would share the port, and each would get some of the calls.
        "grpc.so_reuseport": 0,
        "grpc.max_receive_message_length": limits.max_body_bytes,
        "grpc.max_send_message_length": _UNLIMITED,
        "grpc.max_metadata_size": limits.max_header_bytes,
    }
    options.update(arguments)
    return list(options.items())


def _bind_port(server: Any, host: str, port: int, credentials: Any) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    bound = _add_port(server, address, credentials)
    if bound != 0:
        return bound
    if _is_port_taken(host, port):
        raise ServingError(Code.UNAVAILABLE, f"gRPC port {port} is already in use")
    raise _cannot_listen(f"on {address}", credentials)


def _bind_socket(server: Any, path: str, credentials: Any) -> None:
    # gRPC removes whatever socket it finds there, and so does upstream's server: scripts start one after another
    # on the same path, and expect the last to have it.
    if _is_socket_served(path):
        logger.warning("Another server listens on the socket %s; from now on this one has it", path)
    # From its first moment on the socket is its user's alone. Folders that a thread makes meanwhile can be entered.
    mask = os.umask(0o077)
    try:
        bound = _add_port(server, f"unix:{path}", credentials)
    finally:
        os.umask(mask)
    if bound == 0:
        raise _cannot_listen(f"on the socket {path}", credentials)
    with contextlib.suppress(FileNotFoundError):  # an abstract socket has no file
        os.chmod(path, _SOCKET_MODE)


def _cannot_listen(where: str, credentials: Any) -> ServingError:
    hint = "Check that the key of ssl_config_file fits its certificate" if credentials else None
    return ServingError(Code.UNAVAILABLE, f"gRPC cannot listen {where}", hint)


def _add_port(server: Any, address: str, credentials: Any) -> int:
    """The bound port, or 0. grpcio raises since 1.60 or so where it returned 0 before."""
    try:
        if credentials is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, credentials))
    except RuntimeError:
        return 0


def _is_port_taken(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _is_socket_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
