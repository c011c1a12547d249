"""`:predict` with other bodies than JSON: numpy's `.npy` and `.npz`, and PredictRequest messages.

On the data path this is `rest`'s sibling for who names one of these types in Content-Type or Accept: parse, ask the
data plane, encode. The limits are the same; errors stay JSON.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar
from urllib.parse import parse_qs

from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.codec.explanation import (
    explained,
    explained_tensors,
    look_at_protos,
    look_at_tensors,
)
from jupyter_tfserve.codec.json_predict import PredictDocument, bind_predict, encode_predict, parse_predict
from jupyter_tfserve.codec.media_types import Media
from jupyter_tfserve.codec.npy import bind_arrays, encode_npy, encode_npz, parse_npy, parse_npz
from jupyter_tfserve.codec.protos import PredictRequest
from jupyter_tfserve.codec.signatures import check_predict_method
from jupyter_tfserve.dataplane.grpc_edge import parse_message
from jupyter_tfserve.dataplane.grpc_predict import bind_predict_request, encode_predict_response
from jupyter_tfserve.dataplane.predict import DataPlane, Prediction
from jupyter_tfserve.errors import ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import ModelSpec, Signature, Tensor, Tensors

OFFLOADED_BYTES: Final = 1 << 18
"""Bodies from this size on are decoded and encoded in a thread: the loop goes on answering others."""

Bound: TypeAlias = "tuple[Tensors, tuple[str, ...]]"
"""The inputs, and the aliases of the outputs to compute."""

_T = TypeVar("_T")


class _Parsed(Protocol):
    """A body before its signature is known."""

    is_rows: bool

    def spec(self, routed: ModelSpec) -> ModelSpec:
        """What is asked for, by the URL and by the body."""

    def bind(self, signature: Signature, limits: LimitOptions) -> Bound:
        """The tensors of a signature."""

    def explained(self, error: ServingError, signature: Signature) -> ServingError:
        """The error with where the body and the signature differ."""


class PredictBodies:
    """Answers predictions whose body or answer is not JSON."""

    def __init__(self, data_plane: DataPlane, limits: LimitOptions, check_method_names: bool) -> None:
        self._data_plane = data_plane
        self._limits = limits
        self._check_method_names = check_method_names

    async def predict(
        self,
        routed: ModelSpec,
        target: str,
        media: tuple[Media, Media | None],
        body: bytes,
        timeout_s: float | None,
        watch: Stopwatch | None,
    ) -> tuple[bytes, str, Prediction]:
        """The answer's body and media type, and what the model did. `media` is what came, and what is wanted."""
        sent, wanted = media
        parsed = await _where(len(body), lambda: _parse(sent, target, body, self._limits))
        given = wanted or sent
        asked: Signature | None = None

        def bind(signature: Signature, _key: str) -> Bound:
            nonlocal given, asked
            asked = signature
            if self._check_method_names:
                check_predict_method(signature)
            inputs, outputs = parsed.bind(signature, self._limits)
            given = wanted or _like(sent, outputs)
            _check_outputs(given, signature, outputs)
            return inputs, outputs

        spec, offload = parsed.spec(routed), len(body) >= OFFLOADED_BYTES
        try:
            prediction = await self._data_plane.predict(spec, bind, timeout_s, offload, watch=watch)
        except ServingError as error:
            if asked is None:
                raise
            raise await asyncio.to_thread(parsed.explained, error, asked) from None
        size = sum(tensor.nbytes for tensor in prediction.outputs.values())
        answer = await _where(size, lambda: _encode(given, prediction, parsed.is_rows))
        return answer, given.value, prediction


async def _where(size: int, work: Callable[[], _T]) -> _T:
    return await asyncio.to_thread(work) if size >= OFFLOADED_BYTES else work()


def _parse(sent: Media, target: str, body: bytes, limits: LimitOptions) -> _Parsed:
    if sent is Media.NPY:
        return _Arrays({"": parse_npy(body, limits.max_tensor_bytes)}, _signature_name(target))
    if sent is Media.NPZ:
        return _Arrays(parse_npz(body, limits.max_tensor_bytes), _signature_name(target))
    if sent is Media.PROTOBUF:
        return _Message(parse_message(PredictRequest, body))
    return _Json(parse_predict(body, limits))


def _signature_name(target: str) -> str:
    """Arrays have no place for it: it is `?signature_name=` of the URL."""
    return parse_qs(target.partition("?")[2]).get("signature_name", [""])[0]


def _like(sent: Media, outputs: tuple[str, ...]) -> Media:
    """The answer's type when none is named: the request's own, and of numpy's two the one that holds the outputs."""
    if sent in (Media.NPY, Media.NPZ):
        return Media.NPY if len(outputs) == 1 else Media.NPZ
    return sent


def _check_outputs(given: Media, signature: Signature, outputs: tuple[str, ...]) -> None:
    """What would fail at the answer is refused before the model runs."""
    if given is Media.NPY and len(outputs) != 1:
        raise invalid_argument(
            f"A .npy answer is one tensor; the signature's outputs are {', '.join(outputs)}",
            "Send Accept: application/x-npz.",
        )
    strings = [alias for alias in outputs if signature.outputs[alias].dtype == "string"]
    if given in (Media.NPY, Media.NPZ) and strings:
        raise invalid_argument(
            f"Output {strings[0]} is of strings, which numpy's files cannot hold",
            "Send Accept: application/json or application/x-protobuf.",
        )


def _encode(given: Media, prediction: Prediction, is_rows: bool) -> bytes:
    outputs = prediction.outputs
    if given is Media.NPY:
        return encode_npy(next(iter(outputs.values())))
    if given is Media.NPZ:
        return encode_npz(outputs)
    if given is Media.PROTOBUF:
        return encode_predict_response(
            prediction.name, prediction.version, prediction.signature_name, outputs
        )
    return encode_predict(outputs, is_rows)


@dataclass(slots=True)
class _Json:
    document: PredictDocument
    is_rows: bool = False

    def spec(self, routed: ModelSpec) -> ModelSpec:
        return ModelSpec(routed.name, routed.version, routed.label, self.document.signature_name)

    def bind(self, signature: Signature, limits: LimitOptions) -> Bound:
        inputs, self.is_rows = bind_predict(self.document, signature, limits)
        return inputs, tuple(signature.outputs)

    def explained(self, error: ServingError, signature: Signature) -> ServingError:
        return explained(error, self.document.document.tree, signature)


@dataclass(slots=True)
class _Arrays:
    arrays: dict[str, Tensor]
    signature_name: str
    is_rows: bool = False

    def spec(self, routed: ModelSpec) -> ModelSpec:
        return ModelSpec(routed.name, routed.version, routed.label, self.signature_name)

    def bind(self, signature: Signature, _limits: LimitOptions) -> Bound:
        return bind_arrays(self.arrays, signature), tuple(signature.outputs)

    def explained(self, error: ServingError, signature: Signature) -> ServingError:
        arrays = self.arrays
        if "" in arrays and len(signature.inputs) == 1:
            arrays = {next(iter(signature.inputs)): arrays[""]}
        return explained_tensors(error, look_at_tensors(arrays), signature)


@dataclass(slots=True)
class _Message:
    request: PredictRequest
    is_rows: bool = False

    def spec(self, routed: ModelSpec) -> ModelSpec:
        """The URL's; the message may leave out what that says, or say the same."""
        named = self.request.model_spec
        choice = named.WhichOneof("version_choice")
        version = named.version.value if choice == "version" else None
        label = named.version_label if choice == "version_label" else None
        is_free = routed.version is None and routed.label is None
        if named.name not in ("", routed.name) or not (
            choice is None or is_free or (version, label) == (routed.version, routed.label)
        ):
            raise invalid_argument(
                "The message's model_spec asks for something else than the URL",
                "Leave its name and version out, or make them those of the URL.",
            )
        if choice is None:
            version, label = routed.version, routed.label
        return ModelSpec(routed.name, version, label, named.signature_name)

    def bind(self, signature: Signature, limits: LimitOptions) -> Bound:
        return bind_predict_request(self.request, signature, limits)

    def explained(self, error: ServingError, signature: Signature) -> ServingError:
        return explained_tensors(error, look_at_protos(self.request.inputs), signature)
