"""The client's REST side: paths, documents and their answers. Needs no TensorFlow, not even installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from jupyter_tfserve.client.arrays import can_travel, predict_arrays
from jupyter_tfserve.client.documents import encode_body, parse_answer, parse_json
from jupyter_tfserve.client.http_caller import HttpCaller
from jupyter_tfserve.client.server_timing import SERVER_TIMING, TIMING_HEADER, parse_server_timing
from jupyter_tfserve.client.values import ClassScore, Examples, Metadata, VersionStatus
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ModelSpec, Signature, Tensor, Tensors, TensorSpec


def model_path(spec: ModelSpec) -> str:
    """TensorFlow Serving's path of a model, a version or a label."""
    path = f"/v1/models/{quote(spec.name, safe='')}"
    if spec.version is not None:
        path += f"/versions/{spec.version}"
    elif spec.label is not None:
        path += f"/labels/{quote(spec.label, safe='')}"
    return path


def predict_document(
    caller: HttpCaller,
    spec: ModelSpec,
    body: Mapping[str, Any],
    signature: Signature | None = None,
    timeout_s: float | None = None,
) -> Tensor | dict[str, Tensor]:
    """The answer of `:predict`: one array, or an array per output alias when there are several.

    `body` is the request's document; its values may be numpy arrays. With `signature` the arrays get the
    outputs' own dtypes; without it they have those that JSON gives (float64, int64, bool, object).
    """
    return parse_answer(_ask(caller, spec, "predict", body, timeout_s), signature)


def predict_timed(
    caller: HttpCaller, spec: ModelSpec, body: Mapping[str, Any], signature: Signature | None = None
) -> tuple[Tensor | dict[str, Tensor], dict[str, float]]:
    """As `predict_document`, and the server's own split of the time, in seconds by stage.

    The split is empty from a server that tells none, TensorFlow Serving for one.
    """
    answer = caller.exchange(
        "POST", f"{model_path(spec)}:predict", _content(spec, body), None, {TIMING_HEADER: "1"}
    )
    return parse_answer(answer.body, signature), parse_server_timing(answer.headers.get(SERVER_TIMING, ""))


class RestTransport:
    """One server's REST port. `arrays`: numbers travel as numpy's files, not as JSON."""

    def __init__(self, caller: HttpCaller, arrays: bool = False) -> None:
        self._caller = caller
        self._arrays = arrays

    def predict(
        self, spec: ModelSpec, inputs: Tensors, signature: Signature, timeout_s: float
    ) -> dict[str, Tensor]:
        """The outputs by alias."""
        if self._arrays and can_travel(signature):
            path = f"{model_path(spec)}:predict"
            return predict_arrays(self._caller, path, spec.signature_name, inputs, signature, timeout_s)
        answer = predict_document(self._caller, spec, {"inputs": dict(inputs)}, signature, timeout_s)
        outputs = answer if isinstance(answer, dict) else {_only(signature.outputs): answer}
        return {alias: _as_bytes(tensor, signature.outputs.get(alias)) for alias, tensor in outputs.items()}

    def classify(self, spec: ModelSpec, examples: Examples, timeout_s: float) -> list[list[ClassScore]]:
        """The classes of each Example."""
        results = self._results(spec, "classify", examples, timeout_s)
        return [[ClassScore(label, float(score)) for label, score in one] for one in results]

    def regress(self, spec: ModelSpec, examples: Examples, timeout_s: float) -> NDArray[np.float32]:
        """The value of each Example."""
        return np.array(self._results(spec, "regress", examples, timeout_s), dtype=np.float32)

    def status(self, spec: ModelSpec, timeout_s: float) -> tuple[VersionStatus, ...]:
        """The versions in descending order."""
        document = self._get(model_path(spec), timeout_s)
        return tuple(
            VersionStatus(
                int(one["version"]), one["state"], one["status"]["error_code"], one["status"]["error_message"]
            )
            for one in document["model_version_status"]
        )

    def metadata(self, spec: ModelSpec, timeout_s: float) -> Metadata:
        """The version that answers, and its signatures."""
        document = self._get(f"{model_path(spec)}/metadata", timeout_s)
        signatures = document["metadata"]["signature_def"]["signature_def"]
        return Metadata(
            document["model_spec"]["name"],
            int(document["model_spec"]["version"]),
            {key: _parse_signature(signature) for key, signature in signatures.items()},
        )

    def close(self) -> None:
        """Gives the connections back."""
        self._caller.close()

    def _get(self, path: str, timeout_s: float) -> dict[str, Any]:
        return _document(self._caller.send("GET", path, None, timeout_s))

    def _results(self, spec: ModelSpec, verb: str, examples: Examples, timeout_s: float) -> list[Any]:
        shared = {} if examples.context is None else {"context": examples.context}
        body = {**shared, "examples": list(examples.examples)}
        results: list[Any] = _document(_ask(self._caller, spec, verb, body, timeout_s))["results"]
        return results


def _ask(
    caller: HttpCaller, spec: ModelSpec, verb: str, body: Mapping[str, Any], timeout_s: float | None
) -> bytes:
    return caller.send("POST", f"{model_path(spec)}:{verb}", _content(spec, body), timeout_s)


def _content(spec: ModelSpec, body: Mapping[str, Any]) -> bytes:
    return encode_body({"signature_name": spec.signature_name, **body} if spec.signature_name else body)


def _document(body: bytes) -> dict[str, Any]:
    document = parse_json(body)
    if not isinstance(document, dict):
        raise ServingError(Code.INTERNAL, "The answer is not a JSON object.")
    return document


def _only(outputs: Mapping[str, TensorSpec]) -> str:
    if len(outputs) != 1:
        raise ServingError(Code.INTERNAL, f"The answer has one output; the signature has {len(outputs)}.")
    return next(iter(outputs))


def _as_bytes(tensor: Tensor, spec: TensorSpec | None) -> Tensor:
    """Strings as bytes, as everywhere in this package; JSON gives texts."""
    if spec is None or spec.dtype != "string":
        return tensor
    texts = np.empty(tensor.shape, dtype=object)
    for place, text in np.ndenumerate(tensor):
        texts[place] = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return texts


def _parse_signature(document: Mapping[str, Any]) -> Signature:
    return Signature(
        document["method_name"],
        {alias: _parse_spec(one) for alias, one in document["inputs"].items()},
        {alias: _parse_spec(one) for alias, one in document["outputs"].items()},
    )


def _parse_spec(document: Mapping[str, Any]) -> TensorSpec:
    dtype = document["dtype"].removeprefix("DT_").lower()
    return TensorSpec(document.get("name", ""), dtype, _parse_shape(document.get("tensor_shape")))


def _parse_shape(document: Mapping[str, Any] | None) -> tuple[int, ...] | None:
    if document is None or document.get("unknown_rank", False):
        return None
    return tuple(int(dim["size"]) for dim in document["dim"])
