"""A front's data plane: binds requests to signatures that it has learnt, and has the engine run them.

The engine looks the version up when the tensors arrive. If its signature is another than the one they were bound to, it
answers with that one and the request is bound again: a front holds nothing that a label move or a new version could
make wrong, and nobody waits for it to hear of them.
"""

from __future__ import annotations

import asyncio
import itertools
from time import perf_counter
from typing import Any, Final

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.codec.prediction_log import LogKind
from jupyter_tfserve.dataplane.auth import CALLER
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.predict import Bind, Prediction
from jupyter_tfserve.engine.front_link import FrontLink
from jupyter_tfserve.engine.front_messages import (
    error_from_json,
    error_to_json,
    request_to_json,
    response_from_json,
    signature_from_json,
)
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ModelSpec, Signature, Tensors
from jupyter_tfserve.worker.frame import Frame, decode_tensors

MAX_SIGNATURES: Final = 1024
"""That a front remembers; a caller can ask for one under as many names as there are labels and versions."""
MAX_BINDINGS: Final = 8
"""So often may the signature change under one request."""


class FrontPlane:
    """Predictions, and whole requests, over the link to the engine. Belongs to the front's loop."""

    flows: None = None
    """Limits are counted by the engine, for all fronts together."""
    request_log: None = None

    def __init__(self) -> None:
        self.link: FrontLink | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._known: dict[ModelSpec, tuple[str, Signature, str]] = {}

    def answered(self, frame: Frame) -> None:
        """An answer of the engine's has come; one whose caller has gone is dropped."""
        waiting = self._waiting.pop(frame.header["i"], None)
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)

    async def predict(
        self,
        spec: ModelSpec,
        bind: Bind,
        timeout_s: float | None,
        offload: bool = False,
        kind: LogKind = LogKind.PREDICT,
        watch: Stopwatch | None = None,
    ) -> Prediction:
        """As `DataPlane.predict`."""
        for _ in range(MAX_BINDINGS):
            known = self._known.get(spec)
            header, inputs = await self._bound(spec, bind, known, offload)
            header["t"] = timeout_s
            if watch is not None:
                header["w"] = True
            began = perf_counter()
            frame = await self._ask(header, inputs)
            answer = frame.header
            if "signature" in answer:
                self._learn(spec, frame)
                continue
            if "error" in answer:
                raise error_from_json(answer["error"])
            if watch is not None:
                watch.run_began, watch.run_s = began, perf_counter() - began
                watch.queue_s, watch.compute_s = answer["w"]
            name, version, key, run_s = answer["ok"]
            return Prediction(name, version, key, decode_tensors(frame), run_s)
        raise ServingError(Code.UNAVAILABLE, f"The signature of {spec.name} keeps changing; try again")

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        """The engine's own answer to a request that is no prediction."""
        header = {"k": "http", "q": QUEUE_CALLER.get(), **request_to_json(request)}
        frame = await self._ask(header, {}, request.body)
        return response_from_json(frame.header, bytes(frame.body))

    async def call(self, method: str, body: bytes, context: Any) -> bytes:
        """The engine's own answer to a gRPC call of `/service/method`; ServingError if that is one."""
        metadata = [
            (name, value) for name, value in context.invocation_metadata() or () if isinstance(value, str)
        ]
        header = {
            "k": "grpc",
            "q": context.peer(),
            "method": method,
            "metadata": metadata,
            "t": context.time_remaining(),
        }
        frame = await self._ask(header, {}, body)
        if "error" in frame.header:
            raise error_from_json(frame.header["error"])
        return bytes(frame.body)

    async def _bound(
        self, spec: ModelSpec, bind: Bind, known: tuple[str, Signature, str] | None, offload: bool
    ) -> tuple[dict[str, Any], Tensors]:
        """The request's header and tensors; without tensors while the signature is not known or does not take them."""
        caller = CALLER.get()
        header: dict[str, Any] = {
            "k": "predict",
            "m": (spec.name, spec.version, spec.label, spec.signature_name),
            "q": QUEUE_CALLER.get(),
            "a": None if caller is None else caller.key.id,
        }
        if known is None:
            return {**header, "f": ""}, {}
        fingerprint, signature, key = known
        header["f"] = fingerprint
        try:
            inputs, outputs = (
                await asyncio.to_thread(bind, signature, key) if offload else bind(signature, key)
            )
        except ServingError as error:
            # Only the engine knows whether that signature is still the one that counts.
            return {**header, "e": error_to_json(error)}, {}
        header["o"] = outputs
        return header, inputs

    def _learn(self, spec: ModelSpec, frame: Frame) -> None:
        fingerprint, key, document = frame.header["signature"]
        if len(self._known) >= MAX_SIGNATURES:
            self._known.clear()
        self._known[spec] = (fingerprint, signature_from_json(document, decode_tensors(frame)), key)

    async def _ask(self, header: dict[str, Any], tensors: Tensors, body: bytes | None = None) -> Frame:
        link = self.link
        if link is None:
            raise ServingError(Code.UNAVAILABLE, "The server is starting")
        number = header["i"] = next(self._numbers)
        if body is None:
            link.send_tensors(header, tensors)
        else:
            link.send(header, body)
        waiting: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            return await waiting
        except asyncio.CancelledError:
            if self._waiting.pop(number, None) is not None:
                link.send({"k": "cancel", "i": number})
            raise
