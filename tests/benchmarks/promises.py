"""What is promised, as ratios of one run; each says what was found, and whether it holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.benchmarks.figures import Sample, Spread, linear_cost, paired_ratio, spread
from tests.benchmarks.limits.targets import (
    BARE_UVICORN,
    CALLABLE_64,
    CALLABLE_BEST,
    CALLABLE_ONE,
    ECHO_AIO,
    ECHO_THREADS,
    SIMDJSON,
    SIMDJSON_NUMBERS,
)
from tests.benchmarks.side_by_side import Findings
from tests.benchmarks.targets import OURS

PYTHON_PEERS: Final = (
    "FastAPI", "FastAPI, gc.freeze()", "BentoML", "MLServer", "KServe", "LitServe", "Ray Serve"
)  # fmt: skip
TRITON: Final = "PyTriton"


@dataclass(frozen=True, slots=True)
class Told:
    """What a promise came to: the median of the turns, their lowest and highest, and who of the others was the best."""

    value: float
    low: float
    high: float
    rival: str = ""


Found = Callable[[Findings, Mapping[str, Any]], "Told | None"]


@dataclass(frozen=True, slots=True)
class Promise:
    """`bound` is a least value, or a greatest one where `is_most`; without one it is told for comparison."""

    text: str
    bound: float | None
    found: Found
    is_most: bool = False
    by_cpu: Found | None = None
    """The same by the processor time of an answer: on one core that is what a rate comes to, whatever else runs."""

    def holds(self, value: float) -> bool | None:
        """Whether the value keeps it; None if nothing was promised."""
        if self.bound is None:
            return None
        return value <= self.bound if self.is_most else value >= self.bound


def _turns(findings: Findings, workload: str, connections: int, target: str) -> list[Sample] | None:
    found = findings.find(workload, connections, target)
    return None if found is None else found.samples


def _told(values: Spread, rival: str = "") -> Told:
    return Told(values.median, values.low, values.high, rival)


def rate_over(workload: str, connections: int, *others: str) -> Found:
    """Our requests a second over those of the best of the others."""
    return _ours_over(workload, connections, others, lambda turn: turn.per_s)


def cpu_over(workload: str, connections: int, *others: str) -> Found:
    """The processor time that an answer costs the thriftiest of the others, over what it costs us."""
    return _ours_over(workload, connections, others, lambda turn: 1e6 / turn.cpu_us if turn.cpu_us else 0.0)


def _ours_over(
    workload: str, connections: int, others: tuple[str, ...], speed: Callable[[Sample], float]
) -> Found:
    def found(findings: Findings, _experiments: Mapping[str, Any]) -> Told | None:
        ours = _turns(findings, workload, connections, OURS)
        speeds = {
            other: [speed(turn) for turn in turns]
            for other in others
            if (turns := _turns(findings, workload, connections, other)) is not None
        }
        speeds = {other: values for other, values in speeds.items() if any(values)}
        if ours is None or not speeds:
            return None
        best = max(speeds, key=lambda other: spread(speeds[other]).median)
        ratio = paired_ratio([speed(turn) for turn in ours], speeds[best])
        return _told(ratio, best if len(others) > 1 else "")

    return found


def compared(text: str, bound: float | None, workload: str, connections: int, *others: str) -> Promise:
    """A promise of how many times as fast as the best of the others we are."""
    rate, cpu = (over(workload, connections, *others) for over in (rate_over, cpu_over))
    return Promise(text, bound, rate, by_cpu=cpu)


def p99_over_p50(workload: str, connections: int, *others: str) -> Found:
    """Our p99 over the lowest p50 of the others."""

    def found(findings: Findings, _experiments: Mapping[str, Any]) -> Told | None:
        ours = _turns(findings, workload, connections, OURS)
        halves = {
            other: [one.p50_ms for one in samples]
            for other in others
            if (samples := _turns(findings, workload, connections, other)) is not None
        }
        if ours is None or not halves:
            return None
        lowest = min(halves, key=lambda other: spread(halves[other]).median)
        return _told(paired_ratio([one.p99_ms for one in ours], halves[lowest]), lowest)

    return found


def above_callable(workload: str) -> Found:
    """Milliseconds of our p50 at one connection above the callable's."""

    def found(findings: Findings, _experiments: Mapping[str, Any]) -> Told | None:
        ours, bare = (_turns(findings, workload, 1, name) for name in (OURS, CALLABLE_ONE))
        if ours is None or bare is None:
            return None
        return _told(spread([one.p50_ms - other.p50_ms for one, other in zip(ours, bare, strict=True)]))

    return found


def from_experiment(*path: str) -> Found:
    """A figure that an experiment found; with a spread if it is told so: `{"median", "low", "high"}`."""

    def found(_findings: Findings, experiments: Mapping[str, Any]) -> Told | None:
        value: Any = experiments
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None:
            return None
        if isinstance(value, Mapping):
            return Told(value["median"], value["low"], value["high"])
        return Told(float(value), float(value), float(value))

    return found


def growth_of(what: str, is_rate: bool) -> Found:
    """The steepest step's exponent: of time by size, or of time a request by how many connections or models there are."""

    def found(_findings: Findings, experiments: Mapping[str, Any]) -> Told | None:
        by_size = experiments.get("growth", {}).get(what)
        if not by_size:
            return None
        costs = [1 / value if is_rate else value for value in by_size.values()]
        steepest = linear_cost([float(size) for size in by_size], costs)
        return Told(steepest, steepest, steepest)

    return found


PROMISES: Final = (
    compared("3 floats, 64 connections, over the best Python peer", 12, "floats", 64, *PYTHON_PEERS),
    compared("the same over PyTriton", 4, "floats", 64, TRITON),
    compared("the same over the constant answer of bare uvicorn", 0.65, "floats", 64, BARE_UVICORN),
    Promise(
        "our p99 over the lowest p50 of a peer",
        1,
        p99_over_p50("floats", 64, *PYTHON_PEERS, TRITON),
        is_most=True,
    ),
    compared("dense row, 64 connections, over the best Python peer", 6, "dense", 64, *PYTHON_PEERS),
    compared("dense row over PyTriton", 2.5, "dense", 64, TRITON),
    compared("image as JSON, 1 connection, over FastAPI", 15, "image", 1, "FastAPI"),
    compared("image as JSON over KServe", 15, "image", 1, "KServe"),
    compared("image as JSON over FastAPI with gc.freeze()", 5, "image", 1, "FastAPI, gc.freeze()"),
    compared("image as JSON, 16 connections, over simdjson alone", 0.6, "image", 16, SIMDJSON),
    compared("the same over simdjson and the numbers out of it", None, "image", 16, SIMDJSON_NUMBERS),
    compared("gRPC, 64 connections, over grpcio's empty echo, threads", 0.9, "grpc_floats", 64, ECHO_THREADS),
    compared("gRPC over the empty echo of grpc.aio", 0.9, "grpc_floats", 64, ECHO_AIO),
    compared("gRPC over KServe and MLServer", 3, "grpc_floats", 64, "KServe", "MLServer"),
    compared("gRPC over PyTriton", 1, "grpc_floats", 64, TRITON),
    compared(
        "compute-bound net, 64 connections, over the callable at its best batch",
        0.95,
        "compute",
        64,
        CALLABLE_BEST,
    ),
    compared("the same over the best batch of at most 64 rows", None, "compute", 64, CALLABLE_64),
    compared("the same by gRPC", None, "grpc_compute", 64, CALLABLE_64),
    Promise(
        "its p99 at half of our closed loop, over a single call",
        2,
        from_experiment("half_load", "compute", "p99 at 50% over p50 of the bare callable"),
        is_most=True,
    ),
    Promise(
        "the same over one caller's p50",
        None,
        from_experiment("half_load", "compute", "p99 at 50% over p50 of one caller"),
        is_most=True,
    ),
    Promise(
        "the same at half of the single calls' rate",
        None,
        from_experiment("half_load", "compute", "p99 at half of single calls over p50 of the bare callable"),
        is_most=True,
    ),
    Promise(
        "3 floats, one connection: p50 above the callable, ms", 0.15, above_callable("floats"), is_most=True
    ),
    Promise("compute-bound net, the same", 0.15, above_callable("compute"), is_most=True),
    Promise(
        "p99 of others while 200 MB take over, over quiet, one core",
        1.3,
        from_experiment("swap", "on the server's core", "ratio"),
        is_most=True,
    ),
    Promise("the same, all cores", 1.3, from_experiment("swap", "on all cores", "ratio"), is_most=True),
    Promise(
        "through Jupyter above the direct port at p50, ms",
        1,
        from_experiment("through_jupyter", "difference, ms"),
        is_most=True,
    ),
    Promise(
        "steepest step's exponent: time by body size",
        1.2,
        growth_of("p50 in ms by bytes", False),
        is_most=True,
    ),
    Promise(
        "the same: cost a request by connections",
        0.3,
        growth_of("requests/s by connections", True),
        is_most=True,
    ),
    Promise("the same: cost a request by models", 0.3, growth_of("requests/s by models", True), is_most=True),
)
