"""What is promised, as ratios of one run; each says what was found, and whether it holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.benchmarks.figures import Sample, linear_cost, paired_ratio, spread
from tests.benchmarks.side_by_side import Findings
from tests.benchmarks.targets import (
    BARE_UVICORN,
    CALLABLE_BEST,
    CALLABLE_ONE,
    ECHO_AIO,
    ECHO_THREADS,
    OURS,
    SIMDJSON,
)

PYTHON_PEERS: Final = (
    "FastAPI", "FastAPI, gc.freeze()", "BentoML", "MLServer", "KServe", "LitServe", "Ray Serve"
)  # fmt: skip
TRITON: Final = "PyTriton"
Found = Callable[[Findings, Mapping[str, Any]], "float | None"]


@dataclass(frozen=True, slots=True)
class Promise:
    """`bound` is a least value, or a greatest one where `is_most`."""

    text: str
    bound: float
    found: Found
    is_most: bool = False
    by_cpu: Found | None = None
    """The same by the processor time of an answer: on one core that is what a rate comes to, whatever else runs."""

    def holds(self, value: float) -> bool:
        """Whether the value keeps it."""
        return value <= self.bound if self.is_most else value >= self.bound


def _turns(findings: Findings, workload: str, connections: int, target: str) -> list[Sample] | None:
    found = findings.find(workload, connections, target)
    return None if found is None else found.samples


def rate_over(workload: str, connections: int, *others: str) -> Found:
    """Our requests a second over those of the best of the others."""
    return _ours_over(workload, connections, others, lambda turn: turn.per_s)


def cpu_over(workload: str, connections: int, *others: str) -> Found:
    """The processor time that an answer costs the thriftiest of the others, over what it costs us."""
    return _ours_over(workload, connections, others, lambda turn: 1e6 / turn.cpu_us if turn.cpu_us else 0.0)


def _ours_over(
    workload: str, connections: int, others: tuple[str, ...], speed: Callable[[Sample], float]
) -> Found:
    def found(findings: Findings, _experiments: Mapping[str, Any]) -> float | None:
        ours = _turns(findings, workload, connections, OURS)
        theirs = [_turns(findings, workload, connections, other) for other in others]
        speeds = [[speed(turn) for turn in turns] for turns in theirs if turns is not None]
        if ours is None or not any(map(any, speeds)):
            return None
        best = max(speeds, key=lambda values: spread(values).median)
        return paired_ratio([speed(turn) for turn in ours], best).median

    return found


def compared(text: str, bound: float, workload: str, connections: int, *others: str) -> Promise:
    """A promise of how many times as fast as the best of the others we are."""
    rate, cpu = (over(workload, connections, *others) for over in (rate_over, cpu_over))
    return Promise(text, bound, rate, by_cpu=cpu)


def p99_over_p50(workload: str, connections: int, *others: str) -> Found:
    """Our p99 over the lowest p50 of the others."""

    def found(findings: Findings, _experiments: Mapping[str, Any]) -> float | None:
        ours = _turns(findings, workload, connections, OURS)
        theirs = [_turns(findings, workload, connections, other) for other in others]
        halves = [spread([one.p50_ms for one in samples]).median for samples in theirs if samples is not None]
        if ours is None or not halves:
            return None
        return spread([one.p99_ms for one in ours]).median / min(halves)

    return found


def above_callable(workload: str) -> Found:
    """Milliseconds of our p50 at one connection above the callable's."""

    def found(findings: Findings, _experiments: Mapping[str, Any]) -> float | None:
        ours, bare = (_turns(findings, workload, 1, name) for name in (OURS, CALLABLE_ONE))
        if ours is None or bare is None:
            return None
        return spread([one.p50_ms - other.p50_ms for one, other in zip(ours, bare, strict=True)]).median

    return found


def from_experiment(*path: str) -> Found:
    """A figure that an experiment found."""

    def found(_findings: Findings, experiments: Mapping[str, Any]) -> float | None:
        value: Any = experiments
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return None if value is None else float(value)

    return found


def half_load_p99(findings: Findings, experiments: Mapping[str, Any]) -> float | None:
    """p99 of the compute-bound net at half load over one call's time."""
    p99_ms = from_experiment("half_load", "compute", "50% of the closed loop", "p99_ms")(
        findings, experiments
    )
    bare = _turns(findings, "compute", 1, CALLABLE_ONE)
    return None if p99_ms is None or bare is None else p99_ms / spread([one.p50_ms for one in bare]).median


def growth_of(what: str, is_rate: bool) -> Found:
    """The steepest step's exponent: of time by size, or of time a request by how many connections or models there are."""

    def found(_findings: Findings, experiments: Mapping[str, Any]) -> float | None:
        by_size = experiments.get("growth", {}).get(what)
        if not by_size:
            return None
        costs = [1 / value if is_rate else value for value in by_size.values()]
        return linear_cost([float(size) for size in by_size], costs)

    return found


PROMISES: Final = (
    compared("3 floats, 64 connections, over the best Python peer", 12, "floats", 64, *PYTHON_PEERS),
    compared("the same over PyTriton", 4, "floats", 64, TRITON),
    compared("the same over the constant answer of bare uvicorn", 0.65, "floats", 64, BARE_UVICORN),
    Promise(
        "our p99 over the best peer's p50", 1, p99_over_p50("floats", 64, *PYTHON_PEERS, TRITON), is_most=True
    ),
    compared("dense row over the best Python peer", 6, "dense", 64, *PYTHON_PEERS),
    compared("dense row over PyTriton", 2.5, "dense", 64, TRITON),
    compared("image as JSON over FastAPI", 15, "image", 16, "FastAPI"),
    compared("image as JSON over KServe", 15, "image", 16, "KServe"),
    compared("image as JSON over FastAPI with gc.freeze()", 5, "image", 16, "FastAPI, gc.freeze()"),
    compared("image as JSON over simdjson alone", 0.6, "image", 16, SIMDJSON),
    compared("gRPC over grpcio's empty echo, threads", 0.9, "grpc_floats", 64, ECHO_THREADS),
    compared("gRPC over the empty echo of grpc.aio", 0.9, "grpc_floats", 64, ECHO_AIO),
    compared("gRPC over KServe and MLServer", 3, "grpc_floats", 64, "KServe", "MLServer"),
    compared("gRPC over PyTriton", 1, "grpc_floats", 64, TRITON),
    compared("compute-bound net over the callable at its best batch", 0.95, "compute", 64, CALLABLE_BEST),
    Promise("its p99 at half load over a single call", 2, half_load_p99, is_most=True),
    Promise("one connection above the callable, ms", 0.15, above_callable("floats"), is_most=True),
    Promise(
        "p99 of others while 200 MB take over, over quiet",
        1.3,
        from_experiment("swap", "ratio"),
        is_most=True,
    ),
    Promise(
        "through Jupyter above the direct port at p50, ms",
        1,
        from_experiment("through_jupyter", "difference, ms"),
        is_most=True,
    ),
    Promise(
        "steepest exponent: time by body size", 1.2, growth_of("p50 in ms by bytes", False), is_most=True
    ),
    Promise(
        "the same: cost a request by connections",
        0.3,
        growth_of("requests/s by connections", True),
        is_most=True,
    ),
    Promise("the same: cost a request by models", 0.3, growth_of("requests/s by models", True), is_most=True),
)
