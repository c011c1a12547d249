"""SessionService: `SessionRun` feeds and fetches tensors of a model's graph by name. Served behind a flag.

On the data path a sibling of `grpc_service`: parse, run on one version, encode. Never batched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from jupyter_tfserve.codec.protos import SessionRunRequest, SessionRunResponse
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor, tensor_bytes
from jupyter_tfserve.dataplane.grpc_edge import Handler, named_spec, parse_message, serialize
from jupyter_tfserve.errors import invalid_argument, not_found
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature, Tensor, TensorSpec
from jupyter_tfserve.worker.frame import SESSION_RUN


class Holder(Protocol):
    """What the service needs: `dataplane.predict.DataPlane`."""

    def held(self, spec: ModelSpec, timeout_s: float | None) -> AbstractAsyncContextManager[Any]:
        """A handle on one version, loaded until the block ends."""


class SessionService:
    """The service of one engine. Cancelling a call cancels what the model does for it, nothing else."""

    def __init__(self, holder: Holder, limits: LimitOptions) -> None:
        self._holder = holder
        self._limits = limits

    def handlers(self) -> dict[str, Handler]:
        """The service's methods by name."""
        return {"SessionRun": self._session_run}

    async def _session_run(self, body: bytes, context: Any) -> bytes:
        request = parse_message(SessionRunRequest, body)
        spec = named_spec(request)
        timeout_s = _timeout_s(request, context.time_remaining())
        async with self._holder.held(spec, timeout_s) as handle:
            aliases = _aliases(request, handle.loader.signatures, spec.signature_name or DEFAULT_SIGNATURE)
            feeds = {_graph_name(name, aliases): one for name, one in self._feeds(request.feed).items()}
            fetches = [_graph_name(name, aliases) for name in request.fetch]
            targets = [f"^{name}" for name in request.target]
            with handle.loader.traffic.timed():
                outputs = await handle.loader.run(SESSION_RUN, feeds, (*fetches, *targets), timeout_s)
            response = SessionRunResponse()
            response.model_spec.name = spec.name
            response.model_spec.version.value = handle.id.version
            for name, fetch in zip(request.fetch, fetches, strict=True):
                encode_tensor(outputs[fetch], response.tensor.add(name=name).tensor)
        return serialize(response)

    def _feeds(self, feeds: Iterable[Any]) -> dict[str, Tensor]:
        decoded: dict[str, Tensor] = {}
        spent_bytes = 0
        for feed in feeds:
            if feed.name in decoded:
                raise invalid_argument(f"Tensor {feed.name} is fed more than once")
            decoded[feed.name] = decode_tensor(feed.tensor, self._limits, spent_bytes)
            spent_bytes += tensor_bytes(decoded[feed.name])
        return decoded


def _timeout_s(request: Any, remaining_s: float | None) -> float | None:
    """The nearer of the call's deadline and the time that its RunOptions allow."""
    allowed_ms: int = request.options.timeout_in_ms
    if allowed_ms <= 0:
        return remaining_s
    return allowed_ms / 1000 if remaining_s is None else min(remaining_s, allowed_ms / 1000)


def _aliases(request: Any, signatures: Mapping[str, Signature], key: str) -> Mapping[str, TensorSpec] | None:
    """The tensors that the request's names stand for; None if they are the graph's own names."""
    if not request.tensor_name_is_alias:
        return None
    if key not in signatures:
        raise not_found(f'Serving signature key "{key}" not found.')
    return {**signatures[key].outputs, **signatures[key].inputs}


def _graph_name(name: str, aliases: Mapping[str, TensorSpec] | None) -> str:
    if aliases is None:
        return name
    if name not in aliases:
        raise not_found(f"Tensor alias {name} is not in the signature")
    return aliases[name].tensor_name
