"""The engine's side of a front: what it asks is run here, where the state, the limits and the batches are."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from time import perf_counter
from typing import Any

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.dataplane.auth import CALLER, KeyRing
from jupyter_tfserve.dataplane.grpc_edge import Handler
from jupyter_tfserve.dataplane.http_message import HttpHandler
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.dataplane.predict import DataPlane, StaleBinding
from jupyter_tfserve.dataplane.traffic import TRAFFIC_LIMITS
from jupyter_tfserve.engine.front_link import FrontLink
from jupyter_tfserve.engine.front_messages import (
    Fingerprints,
    error_from_json,
    error_to_json,
    request_from_json,
    response_to_json,
    signature_to_json,
)
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ModelSpec, Signature, Tensors
from jupyter_tfserve.worker.frame import Frame, decode_tensors

logger = logging.getLogger(__name__)


class FrontDesk:
    """Answers the requests of all fronts. `rest` gives the REST handler of the moment, `methods` gRPC's by path."""

    def __init__(
        self,
        data_plane: DataPlane,
        keys: KeyRing,
        rest: Callable[[], HttpHandler],
        methods: Mapping[str, Handler],
        metrics: Metrics,
    ) -> None:
        self._data_plane = data_plane
        self._keys = keys
        self._rest = rest
        self._methods = methods
        self._metrics = metrics
        self._fingerprints = Fingerprints()

    async def answer(self, link: FrontLink, frame: Frame) -> None:
        """Answers one request, whatever comes of it."""
        header = frame.header
        number = header["i"]
        QUEUE_CALLER.set(header["q"])
        try:
            if header["k"] == "predict":
                await self._predict(link, frame)
            elif header["k"] == "http":
                response = await self._rest()(request_from_json(header, bytes(frame.body)))
                link.send({"i": number, **response_to_json(response)}, response.body)
            else:
                handler = self._methods[header["method"]]
                link.send({"i": number}, await handler(bytes(frame.body), _CallContext(header)))
        except ServingError as error:
            link.send({"i": number, "error": error_to_json(error)})
        except Exception:
            # The request edge: a fault of ours costs this request only.
            logger.exception("A front's request failed unexpectedly")
            failed = ServingError(Code.INTERNAL, "The server failed to answer this request")
            link.send({"i": number, "error": error_to_json(failed)})

    def count(self, document: Mapping[str, Any]) -> None:
        """Adds what a front has counted since it last told."""
        self._metrics.rest.include(document["rest"])
        self._metrics.grpc.include(document["grpc"])

    async def _predict(self, link: FrontLink, frame: Frame) -> None:
        header = frame.header
        number = header["i"]
        watch = Stopwatch(perf_counter()) if "w" in header else None
        began = perf_counter()

        def bind(signature: Signature, key: str) -> tuple[Tensors, tuple[str, ...]]:
            if self._fingerprints.of(signature) != header["f"]:
                raise StaleBinding(signature, key)
            if "e" in header:
                raise error_from_json(header["e"])
            return decode_tensors(frame), tuple(header["o"])

        caller = self._keys.holder(header["a"])
        CALLER.set(caller)  # of this request's task: what an error may tell depends on it
        try:
            with caller or nullcontext():
                prediction = await self._data_plane.predict(
                    ModelSpec(*header["m"]), bind, header["t"], watch=watch
                )
        except StaleBinding as stale:
            if caller is not None:
                caller.give_back()
            known = self._fingerprints.of(stale.signature), stale.key, signature_to_json(stale.signature)
            link.send_tensors({"i": number, "signature": known}, stale.signature.defaults)
            return
        if prediction.traffic is not None:
            micros = (perf_counter() - began) * 1e6
            prediction.traffic.counts[bisect_right(TRAFFIC_LIMITS, micros)] += 1
        ok = prediction.name, prediction.version, prediction.signature_name, prediction.run_s
        times = (0, 0) if watch is None else (watch.queue_s, watch.compute_s)
        link.send_tensors({"i": number, "ok": ok, "w": times}, prediction.outputs)


class FrontSession:
    """One front as the engine knows it: its link, its requests under way, what it was told and has confirmed."""

    def __init__(self, desk: FrontDesk) -> None:
        loop = asyncio.get_running_loop()
        self.link = FrontLink(self._received, self._link_lost)
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost = asyncio.Event()
        self.open_connections = 0
        self._desk = desk
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._told = 0
        self._counts: asyncio.Future[None] | None = None
        self._confirmed = asyncio.Event()
        self._confirmed.set()

    def tell(self, access: list[dict[str, Any]]) -> None:
        """These are the keys from now on."""
        self._told += 1
        self._confirmed.clear()
        self.link.send({"k": "access", "n": self._told, "keys": access})

    async def confirmed(self, timeout_s: float) -> None:
        """Returns when the front knows all that it was told; one that does not say so in time is cut off."""
        try:
            await asyncio.wait_for(self._confirmed.wait(), timeout_s)
        except asyncio.TimeoutError:
            logger.warning(
                "A front process did not confirm the new keys within %g s; it is cut off", timeout_s
            )
            self.link.abort()

    async def counted(self, timeout_s: float) -> None:
        """Returns when the front has told what it has counted until now, or `timeout_s` are over."""
        if not self.ready.done():
            return
        if self._counts is None:
            self._counts = asyncio.get_running_loop().create_future()
            self.link.send({"k": "count"})
        await asyncio.wait([self._counts], timeout=timeout_s)

    def _received(self, frame: Frame) -> None:
        header = frame.header
        kind = header["k"]
        if kind in ("predict", "http", "grpc"):
            number = header["i"]
            task = asyncio.get_running_loop().create_task(self._desk.answer(self.link, frame))
            self._tasks[number] = task
            task.add_done_callback(lambda _: self._tasks.pop(number, None))
        elif kind == "cancel":
            task_of = self._tasks.get(header["i"])
            if task_of is not None:
                task_of.cancel()
        elif kind == "counts":
            self.open_connections = header["connections"]
            self._desk.count(header)
            if header["asked"] and self._counts is not None:
                self._counts.set_result(None)
                self._counts = None
        elif kind == "confirmed" and header["n"] == self._told:
            self._confirmed.set()
        elif kind == "ready" and not self.ready.done():
            self.ready.set_result(None)
        elif kind == "failed" and not self.ready.done():
            self.ready.set_exception(error_from_json(header["error"]))

    def _link_lost(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()
        self.open_connections = 0
        self._confirmed.set()
        if self._counts is not None:
            self._counts.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(ServingError(Code.UNAVAILABLE, "A front process ended while it started"))
            self.ready.exception()  # seen, also if nobody waits any more
        self.lost.set()


class _CallContext:
    """As much of a call's context as handlers ask for, of one that a front has taken."""

    def __init__(self, header: Mapping[str, Any]) -> None:
        self._header = header

    def time_remaining(self) -> float | None:
        """Seconds, or None if the caller waits for ever."""
        remaining: float | None = self._header["t"]
        return remaining

    def invocation_metadata(self) -> list[tuple[str, str]]:
        """What the caller sent beside the message, without binary values."""
        return [(name, value) for name, value in self._header["metadata"]]

    def peer(self) -> str:
        """The caller's address."""
        return str(self._header["q"])

    def set_trailing_metadata(self, _metadata: Any) -> None:
        """None crosses the link: no method that is answered here has any."""
