"""What the engine and its front processes tell each other, as JSON: options, signatures, errors, requests. Pure.

A predict request crosses as tensors, bound to a signature that the front has learnt from the engine and names by
`fingerprint`; every other request crosses as it came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson

from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.predict import SignatureNotFound
from jupyter_tfserve.errors import Code, Overloaded, ServingError
from jupyter_tfserve.lifecycle.keys import PredictKey, key_from_state, key_to_state
from jupyter_tfserve.lifecycle.limits import FlowLimits
from jupyter_tfserve.options import GrpcOptions, LimitOptions, ListenOptions, TlsOptions
from jupyter_tfserve.types import Signature, Tensor, Tensors, TensorSpec

Json = dict[str, Any]

_MAX_FINGERPRINTS: Final = 1024
_CERTIFICATES: Final = ("server_key", "server_cert", "custom_ca")


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """All that a front is started with. `services` are the methods by gRPC service that the engine answers itself."""

    listen: ListenOptions
    limits: LimitOptions
    grpc: GrpcOptions
    grpc_port: int
    services: Mapping[str, tuple[str, ...]]


def shared_limits(limits: LimitOptions, fronts: int) -> LimitOptions:
    """Each front's part: connections are divided, everything else is one sender's bound and stays."""
    return replace(limits, max_connections=max(1, limits.max_connections // fronts))


def options_to_json(options: FrontOptions) -> Json:
    """The options, their certificates as text."""
    tls = options.grpc.tls
    grpc = asdict(replace(options.grpc, tls=None))
    if tls is not None:
        grpc["tls"] = {
            **asdict(tls),
            **{name: getattr(tls, name).decode("latin-1") for name in _CERTIFICATES},
        }
    return {
        "listen": asdict(options.listen),
        "limits": asdict(options.limits),
        "grpc": grpc,
        "grpc_port": options.grpc_port,
        "services": {name: list(methods) for name, methods in options.services.items()},
    }


def options_from_json(document: Mapping[str, Any]) -> FrontOptions:
    """The options that a front was sent."""
    grpc = dict(document["grpc"])
    if grpc["tls"] is not None:
        tls: dict[str, Any] = grpc["tls"]
        certificates = {name: tls[name].encode("latin-1") for name in _CERTIFICATES}
        grpc["tls"] = TlsOptions(**{**tls, **certificates})
    grpc["channel_arguments"] = tuple((name, value) for name, value in grpc["channel_arguments"])
    return FrontOptions(
        ListenOptions(**document["listen"]),
        LimitOptions(**document["limits"]),
        GrpcOptions(**grpc),
        document["grpc_port"],
        {name: tuple(methods) for name, methods in document["services"].items()},
    )


def keys_to_json(keys: Iterable[PredictKey]) -> list[Json]:
    """The keys that a front shall recognise. Their rates are the engine's to count, for all fronts together."""
    return [key_to_state(replace(key, limits=FlowLimits())) for key in keys]


def keys_from_json(document: Iterable[Json]) -> list[PredictKey]:
    """What `keys_to_json` wrote."""
    return [key_from_state(key) for key in document]


def signature_to_json(signature: Signature) -> Json:
    """The signature without its defaults, which travel as tensors."""
    return {
        "method": signature.method_name,
        "inputs": _specs_to_json(signature.inputs),
        "outputs": _specs_to_json(signature.outputs),
    }


def signature_from_json(document: Mapping[str, Any], defaults: Tensors) -> Signature:
    """What `signature_to_json` wrote, with its defaults."""
    inputs, outputs = _specs_from_json(document["inputs"]), _specs_from_json(document["outputs"])
    return Signature(document["method"], inputs, outputs, dict(defaults))


class Fingerprints:
    """Short names of signatures: equal ones have equal names, so a request may be bound before its version is chosen."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Signature, str]] = {}

    def of(self, signature: Signature) -> str:
        """The signature's name."""
        known = self._known.get(id(signature))
        if known is None:
            if len(self._known) >= _MAX_FINGERPRINTS:
                self._known.clear()
            # The signature is kept too: a number that `id` gives stands for it only as long as it lives.
            known = self._known[id(signature)] = (signature, _fingerprint(signature))
        return known[1]


def error_to_json(error: ServingError) -> Json:
    """An error with all that the edges make of it."""
    document: Json = {"code": int(error.code), "message": error.message, "hint": error.hint}
    if isinstance(error, Overloaded):
        document["retry_after_s"] = error.retry_after_s
    if isinstance(error, SignatureNotFound):
        document["key"] = error.key
    return document


def error_from_json(document: Mapping[str, Any]) -> ServingError:
    """What `error_to_json` wrote."""
    code = Code(document["code"])
    if "retry_after_s" in document:
        refused: ServingError = Overloaded(code, document["message"], document["retry_after_s"])
    elif "key" in document:
        refused = SignatureNotFound(document["key"], {})
    else:
        refused = ServingError(code, document["message"])
    refused.hint = document["hint"]
    return refused


def request_to_json(request: HttpRequest) -> Json:
    """A request's head."""
    return {"method": request.method, "target": request.target, "headers": dict(request.headers)}


def request_from_json(document: Mapping[str, Any], body: bytes) -> HttpRequest:
    """The request of a head and a body."""
    return HttpRequest(document["method"], document["target"], document["headers"], body)


def response_to_json(response: HttpResponse) -> Json:
    """A response's head."""
    return {"status": response.status, "type": response.content_type, "headers": dict(response.headers)}


def response_from_json(document: Mapping[str, Any], body: bytes) -> HttpResponse:
    """The response of a head and a body."""
    return HttpResponse(document["status"], body, document["type"], document["headers"])


def _specs_to_json(specs: Mapping[str, TensorSpec]) -> Json:
    return {alias: [spec.tensor_name, spec.dtype, spec.shape] for alias, spec in specs.items()}


def _specs_from_json(document: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {
        alias: TensorSpec(name, dtype, None if shape is None else tuple(shape))
        for alias, (name, dtype, shape) in document.items()
    }


def _fingerprint(signature: Signature) -> str:
    digest = hashlib.blake2b(orjson.dumps(signature_to_json(signature)), digest_size=16)
    for alias in sorted(signature.defaults):
        digest.update(alias.encode() + b"\0" + _content(signature.defaults[alias]))
    return digest.hexdigest()


def _content(tensor: Tensor) -> bytes:
    values = repr(tensor.tolist()).encode() if tensor.dtype.hasobject else tensor.tobytes()
    return f"{tensor.dtype}{tensor.shape}".encode() + values
