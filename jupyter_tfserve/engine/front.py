"""A front process: HTTP, gRPC, TLS and the codecs, for the connections that it accepts. No state, no TensorFlow.

Started by `engine.fronts` with the numbers of inherited sockets: the link to the engine, then the listening ones. It ends
with its link, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from functools import partial
from typing import Any, Final, cast

from jupyter_tfserve.codec.protos import PREDICTION_SERVICE
from jupyter_tfserve.dataplane.auth import KeyRing
from jupyter_tfserve.dataplane.grpc_door import by_path
from jupyter_tfserve.dataplane.grpc_edge import Beginner, Handler
from jupyter_tfserve.dataplane.grpc_server import GrpcServer
from jupyter_tfserve.dataplane.grpc_service import GrpcServices
from jupyter_tfserve.dataplane.http_message import HttpHandler, HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.http_server import HttpServer
from jupyter_tfserve.dataplane.key_door import KeyDoor
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.dataplane.predict import DataPlane
from jupyter_tfserve.dataplane.rest import RestApi
from jupyter_tfserve.dataplane.tls import server_context
from jupyter_tfserve.engine.event_loop import run_loop, tuned
from jupyter_tfserve.engine.front_link import FrontLink
from jupyter_tfserve.engine.front_messages import (
    FrontOptions,
    error_to_json,
    keys_from_json,
    options_from_json,
)
from jupyter_tfserve.engine.front_plane import FrontPlane
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.worker.frame import Frame

COUNTS_INTERVAL_S: Final = 1.0
"""So often it tells what it has counted, unasked: a front that is killed takes no more than that with it."""


class Front:
    """One front's whole life."""

    def __init__(self) -> None:
        self._plane = FrontPlane()
        self._metrics = Metrics()
        self._started: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._draining: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._keys = KeyRing(False)
        self._servers: tuple[HttpServer, GrpcServer] | None = None
        self._door: KeyDoor | None = None
        self._predict: HttpHandler | None = None

    async def run(self, link: socket.socket, listening: list[socket.socket]) -> None:
        """Serves until the engine says drain; the process ends at once when the engine is gone."""
        loop = asyncio.get_running_loop()
        _, ours = await loop.create_unix_connection(lambda: FrontLink(self._received, _end), sock=link)
        self._plane.link = ours
        document = await self._started
        try:
            await self._start(options_from_json(document["options"]), document["keys"], listening)
        except ServingError as error:
            ours.send({"k": "failed", "error": error_to_json(error)})
            await _close(ours)
        ours.send({"k": "ready"})
        self._tell_regularly()
        grace_s = await self._draining
        if self._servers is not None:
            await asyncio.gather(*(server.stop(grace_s) for server in self._servers))
        self._tell_counts()
        await _close(ours)

    async def _start(
        self, options: FrontOptions, keys: list[dict[str, Any]], listening: list[socket.socket]
    ) -> None:
        listen, limits, tls = options.listen, options.limits, options.grpc.tls
        # Only predictions come to it here: their one method is all that it needs of a data plane.
        plane = cast("DataPlane", self._plane)
        self._keys = KeyRing(listen.keys_required)
        rest = RestApi(
            plane,
            limits,
            listen.rest_timeout_ms,
            dict,
            bool,
            listen.rest_enable_cors,
            options.grpc.enable_signature_method_name_check,
            self._metrics.rest,
        )
        self._predict = rest.handle
        handler = partial(_route, rest.handle, self._plane)
        self._door = KeyDoor(self._keys, rest.handle)
        http = HttpServer(
            handler, limits, listen.is_local, server_context(tls) if tls else None, listen.rest_enable_cors
        )
        services = _Services(self._plane, GrpcServices(plane, limits, options.grpc, self._metrics), options)
        grpc = GrpcServer(plane, listen, limits, options.grpc, self._metrics, self._keys, services)
        self._servers = (http, grpc)
        self._let_in(keys)
        # With an owner gRPC's socket is one for all fronts; else each has its own on the port.
        shared = [one for one in listening if one.getsockname()[1] == options.grpc_port]
        await grpc.start(shared)
        rest_sockets = [one for one in listening if one not in shared]
        if rest_sockets:
            await http.serve(rest_sockets)

    def _let_in(self, keys: list[dict[str, Any]]) -> None:
        self._keys.configure(keys_from_json(keys))
        if self._servers is None or self._door is None or self._predict is None:
            return
        http, _ = self._servers
        if self._keys.is_used:
            http.put_before(partial(_route, self._door.handle, self._plane), self._door.refusal_of_head)
        else:
            http.put_before(partial(_route, self._predict, self._plane), None)

    def _received(self, frame: Frame) -> None:
        header = frame.header
        if "i" in header:
            self._plane.answered(frame)
        elif header["k"] == "start":
            self._started.set_result(header)
        elif header["k"] == "access":
            self._let_in(header["keys"])
            if self._plane.link is not None:
                self._plane.link.send({"k": "confirmed", "n": header["n"]})
        elif header["k"] == "count":
            self._tell_counts(asked=True)
        elif header["k"] == "drain" and not self._draining.done():
            self._draining.set_result(header["grace_s"])

    def _tell_regularly(self) -> None:
        self._tell_counts()
        asyncio.get_running_loop().call_later(COUNTS_INTERVAL_S, self._tell_regularly)

    def _tell_counts(self, asked: bool = False) -> None:
        if self._plane.link is None or self._servers is None:
            return
        counts = {"rest": self._metrics.rest.take(), "grpc": self._metrics.grpc.take()}
        connections = self._servers[0].open_connections
        self._plane.link.send({"k": "counts", "asked": asked, "connections": connections, **counts})


class _Services:
    """gRPC's two services here: Predict is decoded and encoded by this process, all else by the engine."""

    def __init__(self, plane: FrontPlane, local: GrpcServices, options: FrontOptions) -> None:
        self._plane = plane
        self._local = local
        self._options = options

    def handlers(self) -> dict[str, dict[str, Handler]]:
        """Each service's methods by name, as the engine answers them."""
        return {
            service: {name: partial(self._plane.call, f"/{service}/{name}") for name in methods}
            for service, methods in self._options.services.items()
        }

    def methods(self, ring: KeyRing | None) -> dict[str, Handler]:
        """The same by path. The engine holds them to its keys; this process only what it answers itself."""
        own = by_path({PREDICTION_SERVICE: {"Predict": self._local.predict}}, ring)
        return {**by_path(self.handlers()), **own}

    def beginners(self, ring: KeyRing | None) -> dict[str, Beginner]:
        """None: an answer takes the way through the engine."""
        return {}


async def _route(predict: HttpHandler, plane: FrontPlane, request: HttpRequest) -> HttpResponse:
    """Predictions are answered here; the engine answers everything else, its keys and its limits with it."""
    if request.method == "POST" and request.target.partition("?")[0].endswith(":predict"):
        return await predict(request)
    return await plane.exchange(request)


async def _close(link: FrontLink) -> None:
    """Sends what waits; the end of the link ends the process."""
    link.close()
    await asyncio.Event().wait()


def _end() -> None:
    """The engine is gone, or has all that it waited for: nothing here is worth keeping."""
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Runs a front on inherited sockets."""
    # The engine decides when its fronts end; a terminal's Ctrl-C reaches the whole group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    link, *listening = [socket.socket(fileno=int(number)) for number in arguments]

    async def run() -> None:
        await tuned(Front().run(link, listening))

    run_loop(run())


if __name__ == "__main__":
    main(sys.argv[1:])
