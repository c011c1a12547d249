"""What is asked of our engine alone: open loop, two models, growth, a version taking over, the way through Jupyter."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from jupyter_tfserve.engine.connection import Connection
from tests.benchmarks.calls import Call, check, rest_predict
from tests.benchmarks.figures import Sample, paired_ratio, spread, turns
from tests.benchmarks.loads import closed_loop, open_loop
from tests.benchmarks.models import Model, read_model
from tests.benchmarks.serving import running, wait_for, wait_right
from tests.benchmarks.side_by_side import Pace
from tests.benchmarks.targets import Setting, our_engine

_OPEN_CONNECTIONS = 64
_SWAP_RATE = 200.0
_TOKEN = "benchmark"


@dataclass(frozen=True, slots=True)
class Lab:
    """Where experiments are made. `is_quick` leaves the largest sizes out."""

    models: Path
    setting: Setting
    pace: Pace
    is_quick: bool

    def model(self, name: str) -> Model:
        """A model by its name."""
        return read_model(self.models, name)

    def closed(self, calls: list[Call], connections: int) -> Sample:
        """One closed turn."""
        return closed_loop(calls, connections, self.pace.seconds, self.setting.cores.load)

    def open(self, call: Call, rate: float) -> Sample:
        """One open turn."""
        return open_loop([call], _OPEN_CONNECTIONS, self.pace.seconds, rate, self.setting.cores.load)


def half_load(lab: Lab) -> dict[str, Any]:
    """Two models at shares of what they answer in a closed loop: latencies from when each request was due."""
    found: dict[str, Any] = {}
    for name in ("three_floats", "compute"):
        model = lab.model(name)
        with _engine(lab, [model]) as connection:
            call = _call(connection, model)
            most = spread([lab.closed([call], 64).per_s for _ in range(2)]).low
            rates = {share: share * most for share in (0.25, 0.5, 0.75)}
            taken = {share: lab.open(call, rate) for share, rate in rates.items()}
        found[name] = {
            f"{share:.0%} of the closed loop": {
                "rate": rates[share],
                "p50_ms": one.p50_ms,
                "p99_ms": one.p99_ms,
            }
            for share, one in taken.items()
        }
    return found


def two_models(lab: Lab) -> dict[str, Any]:
    """Requests a second of two models alone and in turn; `share` is the mix over what both alone would give."""
    models = [lab.model("three_floats"), lab.model("dense")]
    with _engine(lab, models) as connection:
        one, other = (_call(connection, model) for model in models)
        taken: dict[str, list[float]] = {"3 floats": [], "dense": [], "both": []}
        asked = {"3 floats": [one], "dense": [other], "both": [one, other]}
        for name in turns(list(asked), lab.pace.repetitions):
            taken[name].append(lab.closed(asked[name], 64).per_s)
    # As many of each: the time of a pair is the sum of both alone.
    ideal = [2 / (1 / a + 1 / b) for a, b in zip(taken["3 floats"], taken["dense"], strict=True)]
    rates = {name: spread(values).median for name, values in taken.items()}
    return {**rates, "share": paired_ratio(taken["both"], ideal).median}


def growth(lab: Lab) -> dict[str, Any]:
    """Requests a second by connections and by models, milliseconds by body size."""
    small, wide = lab.model("three_floats"), lab.model("any_width")
    connections = [1, 4, 16, 64, 256] + ([] if lab.is_quick else [1000])
    with _engine(lab, [small, wide]) as connection:
        call = _call(connection, small)
        by_connections = {count: lab.closed([call], count).per_s for count in connections}
        by_body = {}
        for size in (30, 1_000, 30_000, 1_000_000, *(() if lab.is_quick else (10_000_000, 50_000_000))):
            # "0.1234," is seven bytes.
            row = [0.1234] * max(1, size // 8)
            call = rest_predict(connection.rest_url or "", wide.name, row)
            by_body[len(call.body)] = lab.closed([call], 1).p50_ms
    by_models = {
        count: _with_models(lab, small, count) for count in (1, 10) + (() if lab.is_quick else (100,))
    }
    return {
        "requests/s by connections": by_connections,
        "p50 in ms by bytes": by_body,
        "requests/s by models": by_models,
    }


def swap(lab: Lab) -> dict[str, Any]:
    """p99 of a model while a 200 MB version of another one loads and takes over, beside quiet turns."""
    small, large = lab.model("three_floats"), lab.model("large")
    own = Model("large", lab.setting.folder / "large", large.row, large.expected)
    shutil.copytree(large.path, own.path, copy_function=os.link)
    quiet: list[float] = []
    taking_over: list[float] = []
    with _engine(lab, [small, own]) as connection:
        call = _call(connection, small)
        for turn in range(lab.pace.repetitions):
            quiet.append(_swap_turn(lab, call))
            arriving = own.path.with_name("arriving")
            shutil.copytree(large.path / "1", arriving, copy_function=os.link)
            version = turn + 2
            arriving.rename(own.path / str(version))
            taking_over.append(_swap_turn(lab, call))
            wait_for(lambda version=version: _is_alone(connection, version), "the version did not take over")
    return {
        "p99 quiet, ms": spread(quiet).median,
        "p99 while it takes over, ms": spread(taking_over).median,
        "ratio": paired_ratio(taking_over, quiet).median,
    }


def through_jupyter(lab: Lab) -> dict[str, Any]:
    """p50 at one connection by the direct port and through a Jupyter server, in turns."""
    model = lab.model("three_floats")
    with _jupyter(lab, model) as (proxied, direct):
        check(proxied, model.expected)
        taken: dict[str, list[float]] = {"direct": [], "through Jupyter": []}
        asked = {"direct": direct, "through Jupyter": proxied}
        for name in turns(list(asked), lab.pace.repetitions):
            taken[name].append(lab.closed([asked[name]], 1).p50_ms)
    pairs = zip(taken["through Jupyter"], taken["direct"], strict=True)
    medians = {f"p50 {name}, ms": spread(values).median for name, values in taken.items()}
    return {**medians, "difference, ms": spread([one - other for one, other in pairs]).median}


EXPERIMENTS: dict[str, Callable[[Lab], dict[str, Any]]] = {
    "half_load": half_load,
    "two_models": two_models,
    "growth": growth,
    "swap": swap,
    "through_jupyter": through_jupyter,
}


@contextlib.contextmanager
def _engine(lab: Lab, models: list[Model]) -> Iterator[Connection]:
    """Our engine with these models, all of them answering."""
    config = lab.setting.folder / "models.json"
    listed = [{"name": one.name, "basePath": str(one.path), "modelPlatform": "tensorflow"} for one in models]
    config.write_text(json.dumps({"modelConfigList": {"config": listed}}))
    with our_engine(lab.setting, models[0], f"--model_config_file={config}") as (process, log, connection):
        for one in models:
            wait_right(process, log, _call(connection, one), one.expected)
        yield connection


def _call(connection: Connection, model: Model) -> Call:
    return rest_predict(connection.rest_url or "", model.name, model.row)


def _with_models(lab: Lab, small: Model, count: int) -> float:
    models = [Model(f"m{number}", small.path, small.row, small.expected) for number in range(count)]
    with _engine(lab, models) as connection:
        return lab.closed([_call(connection, one) for one in models], 64).per_s


def _swap_turn(lab: Lab, call: Call) -> float:
    # As long as it takes a version to be found, loaded and the old one to go.
    seconds = max(6.0, lab.pace.seconds)
    return open_loop([call], _OPEN_CONNECTIONS, seconds, _SWAP_RATE, lab.setting.cores.load).p99_ms


def _is_alone(connection: Connection, version: int) -> bool:
    states = httpx.get(f"{connection.rest_url}/v1/models/large", trust_env=False).json()
    serving = [one["version"] for one in states["model_version_status"] if one["state"] == "AVAILABLE"]
    return serving == [str(version)]


@contextlib.contextmanager
def _jupyter(lab: Lab, model: Model) -> Iterator[tuple[Call, Call]]:
    """A Jupyter server that serves the model: the call through it, and the one past it."""
    home = lab.setting.folder / "jupyter"
    (home / "config").mkdir(parents=True)
    extensions = {"jpserver_extensions": {"jupyter_tfserve": True}, "token": _TOKEN}
    (home / "config" / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": extensions}))
    told = {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    told |= {"JUPYTER_DATA_DIR": str(home / "data")}
    flags = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={model.path.parent}",
    ]
    command = [sys.executable, "-m", "jupyter_server", *flags]
    with running(command, home / "log", lab.setting.cores.server, told) as process:
        described = home / "runtime" / f"jpserver-{process.pid}.json"
        wait_for(described.exists, "the Jupyter server did not start")
        url = json.loads(described.read_text())["url"].rstrip("/")
        headers = {"Authorization": f"token {_TOKEN}", "Content-Type": "application/json"}
        with httpx.Client(headers=headers, timeout=120, trust_env=False) as client:
            api = f"{url}/jupyter-tfserve/api/engines"
            engine = client.post(api, json={"rest_port": -1, "grpc_port": -1}).json()
            client.post(f"{api}/default/control/open", json={"path": model.name}).raise_for_status()
        through = rest_predict(f"{url}/jupyter-tfserve", model.name, model.row)
        yield (
            Call(through.url, through.body, through.read, headers),
            rest_predict(engine["rest_url"], model.name, model.row),
        )
