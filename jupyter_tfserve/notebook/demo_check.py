"""The demo without a browser: serve both models, ask over REST and gRPC, move a label, compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
import numpy as np

from jupyter_tfserve.codec.protos import PredictionServiceStub, PredictRequest
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor
from jupyter_tfserve.engine.client import error_of, predict_path
from jupyter_tfserve.engine.client_json import encode_body, parse_answer
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.api import connect
from jupyter_tfserve.notebook.demo_models import MODEL_NAME
from jupyter_tfserve.notebook.discovery import Discovery
from jupyter_tfserve.notebook.server import Server
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import ModelSpec, Tensor

ROWS: Final = np.array([[1.0], [2.0], [5.0]], np.float32)
REPLY_TIMEOUT_S: Final = 30.0

Say = Callable[[str], None]


def check_demo(folder: Path, say: Say) -> int:
    """0 when both protocols gave the same answers for every version and label; 1 otherwise."""
    began = time.monotonic()
    # An engine of its own: a running one keeps its models and labels.
    server = connect(discovery=Discovery(root=folder, ask_jupyter=False))
    try:
        server.open(folder / "saved_models")
        server.versions("all", model=MODEL_NAME)
        for version in (1, 2):
            server.wait(version, MODEL_NAME)
        say(f"Serving {MODEL_NAME} versions 1 and 2: REST {server.rest_url}, gRPC {server.grpc_address}")
        agreed = _ask_everybody(server, say)
    finally:
        server.stop()
    say(f"{'All answers agree' if agreed else 'The answers differ'} ({time.monotonic() - began:.1f} s).")
    return 0 if agreed else 1


def _ask_everybody(server: Server, say: Say) -> bool:
    answers: dict[int, Tensor] = {}
    agreed = True
    for version in (1, 2):
        server.label("production", version, MODEL_NAME)
        for spec in (ModelSpec(MODEL_NAME, version=version), ModelSpec(MODEL_NAME, label="production")):
            over_rest, over_grpc = _ask_rest(server, spec), _ask_grpc(server, spec)
            say(f"  {_describe(spec)}: {_show(over_rest)} over REST, {_show(over_grpc)} over gRPC")
            expected = answers.setdefault(version, over_rest)
            agreed &= np.array_equal(over_rest, over_grpc) and np.array_equal(over_rest, expected)
    return bool(agreed and not np.array_equal(answers[1], answers[2]))


def _ask_rest(server: Server, spec: ModelSpec) -> Tensor:
    body = encode_body({"instances": ROWS})
    url = f"{server.rest_url}{predict_path(spec)}"
    reply = httpx.post(url, content=body, timeout=REPLY_TIMEOUT_S, trust_env=False)
    if not reply.is_success:
        raise error_of(reply.status_code, reply.content)
    answer = parse_answer(reply.content)
    if isinstance(answer, dict):
        raise ServingError(Code.INTERNAL, "The model answered with several outputs.")
    return answer.astype(np.float32)


def _ask_grpc(server: Server, spec: ModelSpec) -> Tensor:
    request = PredictRequest()
    request.model_spec.name = spec.name
    if spec.version is not None:
        request.model_spec.version.value = spec.version
    elif spec.label is not None:
        request.model_spec.version_label = spec.label
    signatures = server.client.signatures(spec.name, spec.version)[1]
    alias = next(iter(signatures["serving_default"].inputs))
    encode_tensor(ROWS, request.inputs[alias])
    return decode_tensor(_sole_output(_call(server, request)), LimitOptions())


def _call(server: Server, request: Any) -> Any:
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(server.grpc_address or "", options=options) as channel:
        try:
            return PredictionServiceStub(channel).Predict(request, timeout=REPLY_TIMEOUT_S)
        except grpc.RpcError as error:
            code = Code.__members__.get(error.code().name, Code.UNKNOWN)
            raise ServingError(code, error.details() or "gRPC failed.") from error


def _sole_output(reply: Any) -> Any:
    return next(iter(reply.outputs.values()))


def _describe(spec: ModelSpec) -> str:
    return f"version {spec.version}" if spec.version is not None else f"label {spec.label}"


def _show(answer: Tensor) -> str:
    return "[" + ", ".join(f"{value:.3f}" for value in answer.ravel()) + "]"
