"""What is asked of our engine alone: shares of its load, growth, a version taking over, the time of a live request."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import httpx

from jupyter_tfserve.client.server_timing import SERVER_TIMING, TIMING_HEADER, parse_server_timing
from jupyter_tfserve.engine.connection import Connection
from tests.benchmarks.calls import Call, rest_predict
from tests.benchmarks.figures import Sample, paired_ratio, spread, turns
from tests.benchmarks.jupyter_way import through_jupyter
from tests.benchmarks.lab import Lab, call_of
from tests.benchmarks.limits.targets import CALLABLE_ONE, limit_targets
from tests.benchmarks.models import Model
from tests.benchmarks.serving import wait_for
from tests.benchmarks.workloads import STEADY_S, WORKLOADS

_SWAP_RATE = 200.0
_SWAP_S = 6.0
"""As long as it takes a version to be found, loaded and the old one to go."""
_SHARES = (0.25, 0.5, 0.75)
_BARE, _ALONE, _HALF_OF_SINGLE = "the bare callable", "one caller", "half of single calls"
_LIVE_REQUESTS = 400
_LARGE_BODY = 5_000_000


def half_load(lab: Lab) -> dict[str, Any]:
    """Two models at shares of what they answer in a closed loop: latencies from when each request was due."""
    return {name: _shares_of_load(lab, name) for name in ("three_floats", "compute")}


def _shares_of_load(lab: Lab, name: str) -> dict[str, Any]:
    (target,) = (one for one in limit_targets(lab.setting) if one.name == CALLABLE_ONE)
    workload = next(one for one in WORKLOADS if one.models == (name,))
    model = lab.model(name)
    with target.open() as bare, lab.engine([model]) as connection:
        bare.prepare(workload)
        call = call_of(connection, model)
        lab.closed([call], 64, min(STEADY_S, 4 * lab.pace.warm_up_s))
        most = spread([lab.closed([call], 64).per_s for _ in range(3)]).median
        single = bare.turn(workload, 1, lab.pace.seconds).per_s
        rates = {f"{share:.0%}": share * most for share in _SHARES}
        if single < most:
            rates[_HALF_OF_SINGLE] = single / 2
        asked: dict[str, Callable[[], Sample]] = {
            _BARE: lambda: bare.turn(workload, 1, lab.pace.seconds),
            _ALONE: lambda: lab.closed([call], 1),
            **{
                share: lambda rate=rate: lab.open(call, rate, 2 * lab.pace.seconds)  # type: ignore[misc]
                for share, rate in rates.items()
            },
        }
        taken: dict[str, list[Sample]] = {turn: [] for turn in asked}
        for turn in turns(list(asked), lab.pace.repetitions):
            taken[turn].append(asked[turn]())
    return _told(taken, rates)


def _told(taken: dict[str, list[Sample]], rates: dict[str, float]) -> dict[str, Any]:
    told: dict[str, Any] = {
        turn: {
            "rate": rates.get(turn),
            "p50_ms": spread([one.p50_ms for one in samples]).median,
            "p99_ms": spread([one.p99_ms for one in samples]).median,
        }
        for turn, samples in taken.items()
    }
    for share in rates:
        for other in (_BARE, _ALONE):
            p99s, p50s = [one.p99_ms for one in taken[share]], [one.p50_ms for one in taken[other]]
            told[f"p99 at {share} over p50 of {other}"] = asdict(paired_ratio(p99s, p50s))
    return told


def growth(lab: Lab) -> dict[str, Any]:
    """Requests a second by connections and by models, milliseconds by body size."""
    small, wide = lab.model("three_floats"), lab.model("any_width")
    connections = [1, 4, 16, 64, 256] + ([] if lab.is_quick else [1000])
    sizes = [16, 1_000, 30_000, 1_000_000] + ([] if lab.is_quick else [10_000_000, 50_000_000])
    with lab.engine([small, wide]) as connection:
        call = call_of(connection, small)
        by_connections = _medians(
            lab, {count: lambda count=count: lab.closed([call], count).per_s for count in connections}
        )
        # "0.1234, " is eight bytes.
        rows = [[0.1234] * max(1, size // 8) for size in sizes]
        calls = [rest_predict(connection.rest_url or "", wide.name, row) for row in rows]
        by_body = _medians(
            lab,
            {
                len(one.body): lambda one=one: lab.closed([one], 1, _body_turn_s(lab, one)).p50_ms
                for one in calls
            },
        )
    return {
        "requests/s by connections": by_connections,
        "p50 in ms by bytes": by_body,
        "requests/s by models": _by_models(lab, small),
    }


def _body_turn_s(lab: Lab, call: Call) -> float:
    # A body of 50 MB takes a good part of a second.
    return max(lab.pace.seconds, 3.0) if len(call.body) > _LARGE_BODY else lab.pace.seconds


def _by_models(lab: Lab, small: Model) -> dict[int, float]:
    with contextlib.ExitStack() as stack:
        asked: dict[int, Callable[[], float]] = {}
        for count in (1, 10) + (() if lab.is_quick else (100,)):
            models = [Model(f"m{number}", small.path, small.row, small.expected) for number in range(count)]
            connection = stack.enter_context(lab.engine(models))
            calls = [call_of(connection, one) for one in models]
            asked[count] = lambda calls=calls: lab.closed(calls, 64).per_s  # type: ignore[misc]
        return _medians(lab, asked)


def _medians(lab: Lab, asked: dict[int, Callable[[], float]]) -> dict[int, float]:
    found: dict[int, list[float]] = {size: [] for size in asked}
    for name in turns([str(size) for size in asked], lab.pace.repetitions):
        found[int(name)].append(asked[int(name)]())
    return {size: spread(values).median for size, values in found.items()}


def swap(lab: Lab) -> dict[str, Any]:
    """p99 of a model while a 200 MB version of another one loads and takes over, beside quiet turns: all on one core, as
    servers are measured, and on every core that there is."""
    cores = lab.setting.cores
    found = {"on the server's core": _swap_on(lab, cores.server)}
    if cores.server:
        found["on all cores"] = _swap_on(lab, tuple({*cores.server, *cores.load}))
    return found


def _swap_on(lab: Lab, cores: tuple[int, ...]) -> dict[str, Any]:
    small, large = lab.model("three_floats"), lab.model("large")
    own = Model("large", lab.setting.folder / f"large{len(cores)}", large.row, large.expected)
    shutil.copytree(large.path, own.path, copy_function=os.link)
    quiet: list[float] = []
    taking_over: list[float] = []
    with lab.engine([small, own], cores) as connection:
        call = call_of(connection, small)
        lab.open(call, _SWAP_RATE)
        for turn in range(lab.pace.repetitions):
            quiet.append(lab.open(call, _SWAP_RATE, _SWAP_S).p99_ms)
            arriving = own.path.with_name("arriving")
            shutil.copytree(large.path / "1", arriving, copy_function=os.link)
            version = turn + 2
            arriving.rename(own.path / str(version))
            taking_over.append(lab.open(call, _SWAP_RATE, _SWAP_S).p99_ms)
            wait_for(lambda version=version: _is_alone(connection, version), "the version did not take over")
    return {
        "p99 quiet, ms": spread(quiet).median,
        "p99 while it takes over, ms": spread(taking_over).median,
        "ratio": asdict(paired_ratio(taking_over, quiet)),
    }


def _is_alone(connection: Connection, version: int) -> bool:
    states = httpx.get(f"{connection.rest_url}/v1/models/large", trust_env=False).json()
    serving = [one["version"] for one in states["model_version_status"] if one["state"] == "AVAILABLE"]
    return serving == [str(version)]


def live(lab: Lab) -> dict[str, dict[str, float]]:
    """Microseconds of a live request in each stage, as `Server-Timing` tells them: medians, alone and under load."""
    found: dict[str, dict[str, float]] = {}
    for name in ("three_floats", "dense", "image"):
        model = lab.model(name)
        with lab.engine([model]) as connection:
            call = call_of(connection, model)
            _live_stages(call)
            found[f"{name}, alone"] = _live_stages(call)
            if name != "image":
                found[f"{name}, beside 64 connections"] = _beside_load(lab, call)
    return found


def _beside_load(lab: Lab, call: Call) -> dict[str, float]:
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(lab.closed, [call], 64, 4.0)
        stages = _live_stages(call)
        loading.result()
    return stages


def _live_stages(call: Call) -> dict[str, float]:
    headers = {**call.headers, TIMING_HEADER: "1"}
    taken: dict[str, list[float]] = {}
    with httpx.Client(headers=headers, timeout=60, trust_env=False) as client:
        for _ in range(_LIVE_REQUESTS):
            answer = client.post(call.url, content=call.body)
            for stage, seconds in parse_server_timing(answer.headers[SERVER_TIMING]).items():
                taken.setdefault(stage, []).append(seconds * 1e6)
    return {stage: statistics.median(values) for stage, values in taken.items()}


EXPERIMENTS: dict[str, Callable[[Lab], dict[str, Any]]] = {
    "half_load": half_load,
    "through_jupyter": through_jupyter,
    "live": live,
    "growth": growth,
    "swap": swap,
}
