"""The one implementation of prediction and model inspection; REST and gRPC only translate.

A request is routed once: decoded, run and encoded by one version, which stays loaded until the answer is out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol, TypeAlias

from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.batching.task import Waiter
from jupyter_tfserve.codec.prediction_log import Exchange, LogKind, SignatureRun
from jupyter_tfserve.dataplane.admission import ModelFlows
from jupyter_tfserve.dataplane.auth import CALLER
from jupyter_tfserve.dataplane.neighbours import neighbours_hint
from jupyter_tfserve.dataplane.traffic import Traffic
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.lifecycle.config_places import refused_entry, with_place
from jupyter_tfserve.lifecycle.config_proto import models_from_reload
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.serving_map import ServableHandle
from jupyter_tfserve.lifecycle.states import VersionStatus
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature, Tensors

Bind: TypeAlias = "Callable[[Signature, str], tuple[Tensors, tuple[str, ...]]]"
"""Turns a parsed request into tensors for a signature: (signature, its key) -> (inputs, output aliases)."""


class Servable(Protocol):
    """A loaded version, as the data plane needs it."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures by key."""

    @property
    def signature_defs(self) -> bytes:
        """The serialized SignatureDefMap."""

    @property
    def traffic(self) -> Traffic:
        """What it has answered."""

    async def run(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        watch: Stopwatch | None = None,
    ) -> Tensors:
        """The outputs by alias; `watch` is told where the time goes."""

    def begin(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        waiter: Waiter,
        watch: Stopwatch | None = None,
    ) -> None:
        """The same for who is told, in a later turn of the loop; raises the ServingError of what is refused at once."""


class SignatureNotFound(ServingError):
    """The version has no signature of that key: FAILED_PRECONDITION, and the keys that it has as the hint."""

    def __init__(self, key: str, signatures: Mapping[str, Signature]) -> None:
        known = ", ".join(sorted(name for name in signatures if not name.startswith("__")))
        hint = f"The model has the signatures {known}" if known else "The model has no signatures"
        super().__init__(Code.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.', hint)
        self.key = key


class Rebind(Exception):
    """Raised by a `bind` that is to be asked again, in another way: no fault of the caller's."""


class StaleBinding(Rebind):
    """Raised by a `bind` whose tensors were made for another signature than the version's."""

    def __init__(self, signature: Signature, key: str) -> None:
        super().__init__(key)
        self.signature = signature
        self.key = key


@dataclass(slots=True)  # not frozen: every request makes one, and freezing triples what that costs
class Prediction:
    """An answer, the version that gave it, and how long the model took, waiting for its batch included."""

    name: str
    version: int
    signature_name: str
    outputs: Tensors
    run_s: float = 0
    traffic: Traffic | None = None
    """Where the version's answers are counted, by who encodes them."""


class Run(Protocol):
    """What a model did for an answer: how long it took, and where its version's answers are counted."""

    @property
    def run_s(self) -> float:
        """The model's part of the time."""

    @property
    def traffic(self) -> Traffic | None:
        """None if no model was asked."""


class Asker(Protocol):
    """Who has a request begun: binds it, and is told once what came of it, unless it was cancelled.

    Raises nothing when it is told.
    """

    def bind(self, signature: Signature, key: str, /) -> tuple[Tensors, tuple[str, ...]]:
        """As `Bind`."""

    def answered(self, prediction: Prediction, /) -> None:
        """There is an answer, and its version stays loaded until this returns."""

    def failed(self, error: ServingError, /) -> None:
        """There is none."""


class Ongoing:
    """A request that was begun: its hold on one version until somebody was told, or nobody waits. A `Waiter`."""

    __slots__ = ("_asker", "_began", "_handle", "_is_over", "_key")

    def __init__(self, asker: Asker, handle: ServableHandle[Any], key: str) -> None:
        self._asker = asker
        self._handle = handle
        self._key = key
        self._is_over = False
        self._began = perf_counter()

    def done(self) -> bool:
        """Whether it is over."""
        return self._is_over

    def set_result(self, outputs: Tensors, /) -> None:
        """Tells the answer."""
        self._is_over = True
        run_s = perf_counter() - self._began
        handle = self._handle
        try:
            servable = handle.id
            self._asker.answered(
                Prediction(servable.name, servable.version, self._key, outputs, run_s, handle.loader.traffic)
            )
        finally:
            handle.release()

    def set_exception(self, error: ServingError, /) -> None:
        """Tells the error, in the next turn of the loop."""
        self.cancel()
        asyncio.get_running_loop().call_soon(self._asker.failed, error)

    def cancel(self) -> None:
        """Nobody waits any more: the request leaves its queue. Counts as an error; does nothing once it is over."""
        if not self._is_over:
            self._is_over = True
            self._handle.loader.traffic.errors += 1
            self._handle.release()


class RequestLog(Protocol):
    """Logs some of the requests and their answers."""

    def sampled(self, model: str) -> Callable[[Exchange], None] | None:
        """Where this request is to be written with its answer, if it is one of those that are logged."""


class DataPlane:
    """Predictions, metadata and status of the models that `core` manages. Lives on the engine's loop.

    `request_log` and `flows` are None as long as no model has a log, or limits: a request costs nothing more then.
    """

    def __init__(self, core: ServerCore[Any]) -> None:
        self._core = core
        self.request_log: RequestLog | None = None
        self.flows: ModelFlows | None = None

    async def predict(
        self,
        spec: ModelSpec,
        bind: Bind,
        timeout_s: float | None,
        offload: bool = False,
        kind: LogKind = LogKind.PREDICT,
        watch: Stopwatch | None = None,
    ) -> Prediction:
        """Runs one request on one version; `kind` is what it is logged as, `watch` is told where the time goes.

        `bind` raises what is wrong with the inputs; with `offload` it runs in a thread, for bodies so large
        that decoding them would hold up others. Cancelling leaves the batch queue.
        """
        flow = None if self.flows is None else self.flows.admit(spec.name)
        try:
            if self._core.first_load_pending(spec):
                await self._wait_first_load(spec, timeout_s)
            try:
                found = self._core.serving_map.lookup(spec)
            except ServingError:
                found = await self._next_version(spec, timeout_s)
            with found as handle:
                servable: Servable = handle.loader
                try:
                    key = spec.signature_name or DEFAULT_SIGNATURE
                    signature = servable.signatures.get(key)
                    if signature is None:
                        raise SignatureNotFound(key, servable.signatures)
                    inputs, outputs = (
                        await asyncio.to_thread(bind, signature, key) if offload else bind(signature, key)
                    )
                    began = perf_counter()
                    answer = await servable.run(key, inputs, outputs, timeout_s, watch)
                    run_s = perf_counter() - began
                except Rebind:
                    if flow is not None:
                        flow.give_back()
                    raise
                except BaseException:
                    servable.traffic.errors += 1
                    raise
                version = handle.id.version
                if watch is not None:
                    watch.run_began, watch.run_s = began, run_s
                if (
                    self.request_log is not None
                    and (write := self.request_log.sampled(spec.name)) is not None
                ):
                    chosen = outputs if len(outputs) < len(signature.outputs) else ()
                    run = SignatureRun(key, answer)
                    write(Exchange(kind, spec, version, inputs, (run,), chosen))
                return Prediction(spec.name, version, key, answer, run_s, servable.traffic)
        except ServingError as error:
            self._name_neighbours(error, spec)
            raise
        finally:
            if flow is not None:
                flow.finish_request()

    def begin(self, spec: ModelSpec, asker: Asker, timeout_s: float | None) -> Ongoing | None:
        """`predict` of who has no time for a coroutine: `asker` is told, in a later turn of the loop.

        None, and nothing has happened, if it has to wait for more than its batch, if requests are limited or logged, and
        for all that is wrong with it before it is run: `predict` tells.
        """
        if self.flows is not None or self.request_log is not None or self._core.first_load_pending(spec):
            return None
        key = spec.signature_name or DEFAULT_SIGNATURE
        try:
            handle = self._core.serving_map.lookup(spec)
        except ServingError:
            return None
        servable: Servable = handle.loader
        signature = servable.signatures.get(key)
        ongoing = None
        try:
            if signature is not None:
                inputs, outputs = asker.bind(signature, key)
                ongoing = Ongoing(asker, handle, key)
                servable.begin(key, inputs, outputs, timeout_s, ongoing)
        except ServingError as error:
            if ongoing is not None:
                ongoing.set_exception(error)
        except BaseException:
            if ongoing is not None:
                ongoing.cancel()
            raise
        finally:
            if ongoing is None:
                handle.release()
        return ongoing

    @contextlib.asynccontextmanager
    async def held(self, spec: ModelSpec, timeout_s: float | None) -> AsyncIterator[ServableHandle[Any]]:
        """One version for several runs, loaded until the block ends: one request. Waits for the first load too."""
        flow = None if self.flows is None else self.flows.admit(spec.name)
        try:
            if self._core.first_load_pending(spec):
                await self._wait_first_load(spec, timeout_s)
            with await self._next_version(spec, timeout_s) as handle:
                yield handle
        except ServingError as error:
            self._name_neighbours(error, spec)
            raise
        finally:
            if flow is not None:
                flow.finish_request()

    async def metadata(self, spec: ModelSpec, timeout_s: float | None) -> tuple[int, bytes]:
        """The version that answers for `spec`, and its serialized SignatureDefMap. Waits for the first load."""
        if self._core.first_load_pending(spec):
            await self._wait_first_load(spec, timeout_s)
        try:
            with await self._next_version(spec, timeout_s) as handle:
                return handle.id.version, handle.loader.signature_defs
        except ServingError as error:
            self._name_neighbours(error, spec)
            raise

    async def signatures(
        self, spec: ModelSpec, timeout_s: float | None
    ) -> tuple[int, Mapping[str, Signature]]:
        """The version that answers for `spec`, and its signatures by key. Waits for the first load."""
        async with self.held(spec, timeout_s) as handle:
            return handle.id.version, handle.loader.signatures

    def status(self, spec: ModelSpec) -> Sequence[VersionStatus]:
        """Every version ever seen of the model, or the one that `spec` names, in descending order.

        Unlike upstream a label counts: an unknown one is refused in predict's words.
        """
        try:
            if spec.label is not None:
                version = self._core.serving_map.labels(spec.name).get(spec.label)
                if version is None:
                    raise invalid_argument(f"Unrecognized servable version label: {spec.label}")
                spec = ModelSpec(spec.name, version)
            return self._core.model_status(spec)
        except ServingError as error:
            self._name_neighbours(error, spec)
            raise

    async def reload_config(self, config: Any) -> None:
        """Replaces the whole configuration by a ModelServerConfig message; returns when new models serve.

        An error's text is upstream's; its hint names the entry.
        """
        models, current = models_from_reload(config), self._core.desired.by_name
        try:
            await self._core.apply_config(models)
        except ServingError as error:
            raise with_place(error, "", refused_entry(models, current, error)) from None

    def _name_neighbours(self, error: ServingError, spec: ModelSpec) -> None:
        """Gives the error of a look-up its hint. The error of a model that was found stays as it is."""
        if error.hint is None and error.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT):
            error.hint = neighbours_hint(
                self._core.serving_map, spec, CALLER.get(), self._core.manager.aspired_statuses(spec.name)
            )

    async def _wait_first_load(self, spec: ModelSpec, timeout_s: float | None) -> None:
        """A configured model that was never ready yet is waited for: ports are open before models are loaded."""
        try:
            await self._core.wait_first_load(spec, timeout_s)
        except ServingError as error:
            raise _still_loading(spec, error) from None

    async def _next_version(self, spec: ModelSpec, timeout_s: float | None) -> ServableHandle[Any]:
        """A handle on what `spec` means; the newest version is waited for while none is there and one is on its way."""
        is_any = spec.version is None and spec.label is None
        if is_any and self._core.next_load_pending(spec.name):
            try:
                await self._core.wait_next_load(spec.name, timeout_s)
            except ServingError as error:
                raise _still_loading(spec, error) from None
        return self._core.serving_map.lookup(spec)


def _still_loading(spec: ModelSpec, error: ServingError) -> ServingError:
    return ServingError(error.code, f"Model {spec.name} is still loading")
