"""The peers: what each must have installed, how it is started with all models, and how one row is asked of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.calls import Call, rest_predict
from tests.benchmarks.models import ROOT, Model
from tests.benchmarks.peers.v2_messages import METHOD, decode_response, encode_request

PEER_MODELS = ("three_floats", "dense", "image", "compute")
"""What every peer serves at the same time, as we do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer's server listens and may write, and where the models are."""

    models: Path
    rest_port: int
    grpc_port: int
    folder: Path

    @property
    def rest_url(self) -> str:
        """Where its HTTP answers."""
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def grpc_url(self) -> str:
        """Where its gRPC answers."""
        return f"http://127.0.0.1:{self.grpc_port}"


def _module_command(peer: Any, place: Place) -> list[str]:
    module = f"tests.benchmarks.peers.{peer.package.partition('.')[0]}_server"
    files = ["--models", str(place.models), "--names", ",".join(PEER_MODELS), "--folder", str(place.folder)]
    ports = ["--port", str(place.rest_port), "--grpc-port", str(place.grpc_port)]
    return ["-m", module, *files, *ports, *peer.flags]


@dataclass(frozen=True, slots=True)
class Peer:
    """One server. `package` is imported to see whether it is there; `rest` and `grpc` make one call."""

    name: str
    package: str
    rest: Callable[[Place, Model], Call]
    grpc: Callable[[Place, Model, bool], Call] | None = None
    flags: tuple[str, ...] = ()
    command: Callable[[Peer, Place], list[str]] = _module_command
    environment: Callable[[Place], dict[str, str]] = lambda _place: {}


def _bentoml_command(_peer: Peer, place: Place) -> list[str]:
    service = "tests.benchmarks.peers.bentoml_server:Bench"
    return ["-m", "bentoml", "serve", service, "--port", str(place.rest_port), "--working-dir", str(ROOT)]


def _json_call(url: str, body: Any, read: Callable[[Any], Any]) -> Call:
    return Call(url, json.dumps(body).encode(), lambda answer: read(json.loads(answer)))


def _instances(place: Place, model: Model) -> Call:
    body = {"instances": [model.row]}
    return _json_call(f"{place.rest_url}/predict/{model.name}", body, lambda answer: answer["predictions"])


def _ray_call(place: Place, model: Model) -> Call:
    url = f"{place.rest_url}/{model.name}"
    return _json_call(url, {"instances": [model.row]}, lambda answer: answer["predictions"])


def _litserve_call(place: Place, model: Model) -> Call:
    url = f"{place.rest_url}/{model.name}"
    return _json_call(url, {"input": model.row}, lambda answer: answer["output"])


def _bentoml_call(place: Place, model: Model) -> Call:
    return _json_call(f"{place.rest_url}/{model.name}", {"x": [model.row]}, lambda answer: answer)


def _kserve_call(place: Place, model: Model) -> Call:
    return rest_predict(place.rest_url, model.name, model.row)


def _v2_call(place: Place, model: Model) -> Call:
    rows = np.asarray([model.row])
    tensor = {"name": "x", "shape": rows.shape, "datatype": "FP32", "data": rows.ravel().tolist()}
    url = f"{place.rest_url}/v2/models/{model.name}/infer"
    return _json_call(url, {"inputs": [tensor]}, lambda answer: answer["outputs"][0]["data"])


def _v2_grpc(place: Place, model: Model, raw: bool) -> Call:
    body = encode_request(model.name, model.row, raw)
    return Call(f"{place.grpc_url}/{METHOD}", body, decode_response, grpc=True)


def _ray_environment(_place: Place) -> dict[str, str]:
    # One machine, one port of 127.0.0.1: a token would be written into the user's home.
    return {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


def _bentoml_environment(place: Place) -> dict[str, str]:
    home = {"BENTOML_HOME": str(place.folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    return {"BENCH_MODELS": str(place.models), "BENCH_NAMES": ",".join(PEER_MODELS), **home}


PEERS = (
    Peer("FastAPI", "fastapi", _instances),
    Peer("FastAPI, gc.freeze()", "fastapi", _instances, flags=("--gc-freeze",)),
    Peer("BentoML", "bentoml", _bentoml_call, command=_bentoml_command, environment=_bentoml_environment),
    Peer("MLServer", "mlserver", _v2_call, _v2_grpc),
    Peer("KServe", "kserve", _kserve_call, _v2_grpc),
    Peer("LitServe", "litserve", _litserve_call),
    Peer("Ray Serve", "ray.serve", _ray_call, environment=_ray_environment),
    Peer("PyTriton", "pytriton", _v2_call, _v2_grpc),
)
