"""The client itself: one face over REST and gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from jupyter_tfserve.client.http_caller import HttpCaller
from jupyter_tfserve.client.inputs import bind_inputs
from jupyter_tfserve.client.rest import RestTransport
from jupyter_tfserve.client.values import (
    ClassScore,
    ExampleFeatures,
    Examples,
    Metadata,
    Transport,
    VersionStatus,
)
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature, Tensor

_MAYBE_STALE: Final = (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION)


class Client:
    """A model server: jupyter_tfserve's or TensorFlow Serving's own. Safe to share between threads.

    `url` is `http://host:8501`, with a path if the server is behind one, or `grpc://host:8500`; `https` and
    `grpcs` speak TLS, checked by `root_certificates` (PEM) or by those of the system. `headers` go with every
    request. `timeout_s` holds for calls that name none. Every failure is a `ServingError`. TensorFlow is
    never imported, and need not be installed. Close it, or use it in a `with`.

    `encoding="npy"` sends and fetches numbers as numpy's files over REST, for large arrays where gRPC cannot pass
    (a JupyterHub); it needs a server of jupyter_tfserve. Strings stay JSON.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        root_certificates: bytes | None = None,
        timeout_s: float = 60.0,
        encoding: Literal["json", "npy"] = "json",
    ) -> None:
        if encoding not in ("json", "npy"):
            raise invalid_argument(f"encoding is 'json' or 'npy'; was {encoding!r}")
        self._timeout_s = timeout_s
        self._transport = _transport(url, headers or {}, root_certificates, timeout_s, encoding == "npy")
        self._signatures: dict[ModelSpec, Signature] = {}

    def predict(
        self,
        model: str,
        inputs: Any = None,
        *,
        rows: Sequence[Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str = "",
        timeout_s: float | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """The output's array, or an array per output alias if the signature has several.

        `inputs` holds whole tensors, `rows` one entry per row: mappings by alias, or the bare values where the
        signature has one input. They get the signature's types, as long as no value changes; outputs have
        theirs, strings are bytes. The signature is asked for once, and again when a request no longer fits it.
        """
        spec, limit_s = _spec(model, version, label, signature), self._limit_s(timeout_s)
        kept = self._signatures.get(spec)
        known = kept or self._fetch_signature(spec, limit_s)
        try:
            return self._predict(spec, inputs, rows, known, limit_s)
        except ServingError as error:
            if kept is None or error.code not in _MAYBE_STALE:
                raise
            fresh = self._fetch_signature(spec, limit_s)
            if (fresh.inputs, fresh.outputs) == (kept.inputs, kept.outputs):
                raise
            return self._predict(spec, inputs, rows, fresh, limit_s)

    def classify(
        self,
        model: str,
        examples: Sequence[ExampleFeatures],
        *,
        context: ExampleFeatures | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str = "",
        timeout_s: float | None = None,
    ) -> list[list[ClassScore]]:
        """The classes of each Example. `context` holds features that the Examples share.

        Whole numbers are int64 features: write `2.0` for a float.
        """
        spec = _spec(model, version, label, signature)
        return self._transport.classify(spec, Examples(examples, context), self._limit_s(timeout_s))

    def regress(
        self,
        model: str,
        examples: Sequence[ExampleFeatures],
        *,
        context: ExampleFeatures | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str = "",
        timeout_s: float | None = None,
    ) -> NDArray[np.float32]:
        """The value of each Example. See `classify` for its arguments."""
        spec = _spec(model, version, label, signature)
        return self._transport.regress(spec, Examples(examples, context), self._limit_s(timeout_s))

    def status(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> tuple[VersionStatus, ...]:
        """The model's versions in descending order, or the one that is named."""
        return self._transport.status(_spec(model, version, label), self._limit_s(timeout_s))

    def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> Metadata:
        """The version that answers, and its signatures."""
        return self._transport.metadata(_spec(model, version, label), self._limit_s(timeout_s))

    def close(self) -> None:
        """Gives the connections back."""
        self._transport.close()

    def __enter__(self) -> Client:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it."""
        self.close()

    def _predict(
        self, spec: ModelSpec, inputs: Any, rows: Sequence[Any] | None, signature: Signature, timeout_s: float
    ) -> Tensor | dict[str, Tensor]:
        outputs = self._transport.predict(spec, bind_inputs(inputs, rows, signature), signature, timeout_s)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def _fetch_signature(self, spec: ModelSpec, timeout_s: float) -> Signature:
        key = spec.signature_name or DEFAULT_SIGNATURE
        known = self._transport.metadata(spec, timeout_s).signatures
        if key not in known:
            raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
        self._signatures[spec] = known[key]
        return known[key]

    def _limit_s(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s


def _spec(model: str, version: int | None, label: str | None, signature: str = "") -> ModelSpec:
    if version is not None and label is not None:
        raise invalid_argument("Give either a version or a label")
    return ModelSpec(model, version, label, signature)


def _transport(
    url: str, headers: Mapping[str, str], root_certificates: bytes | None, timeout_s: float, arrays: bool
) -> Transport:
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        caller = HttpCaller(url, headers, timeout_s, root_certificates=root_certificates)
        return RestTransport(caller, arrays)
    if scheme in ("grpc", "grpcs"):
        address = url.partition("://")[2].rstrip("/")
        return _grpc_transport(address, headers, scheme == "grpcs", root_certificates)
    raise invalid_argument(
        f"'{url}' is not the address of a model server", "Write http://host:8501 or grpc://host:8500"
    )


def _grpc_transport(
    address: str, headers: Mapping[str, str], secure: bool, root_certificates: bytes | None
) -> Transport:
    try:
        # Here, so that REST works where grpc and protobuf are not installed.
        import grpc

        from jupyter_tfserve.client.grpc_transport import GrpcTransport
    except ModuleNotFoundError as error:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"gRPC needs {error.name}, which is not installed",
            "Use http://host:8501",
        ) from error
    return GrpcTransport(
        address, headers, grpc.ssl_channel_credentials(root_certificates) if secure else None
    )
