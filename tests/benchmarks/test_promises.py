"""What a run's figures are made into: promises kept or missed, and the chart."""

from __future__ import annotations

import pytest

from tests.benchmarks.chart import draw
from tests.benchmarks.figures import Sample
from tests.benchmarks.limits.targets import BARE_UVICORN, CALLABLE_ONE
from tests.benchmarks.peers.catalog import PEERS
from tests.benchmarks.promises import PROMISES, PYTHON_PEERS, TRITON
from tests.benchmarks.side_by_side import Findings, Result
from tests.benchmarks.targets import OURS
from tests.benchmarks.workloads import WORKLOADS


def samples(*rates: float, p50_ms: float = 1, p99_ms: float = 2, cpu_us: float = 0) -> list[Sample]:
    return [Sample(rate, p50_ms, p99_ms, int(rate), cpu_us=cpu_us) for rate in rates]


@pytest.fixture
def findings() -> Findings:
    """Ours at 1200, FastAPI at 100, PyTriton at 400, uvicorn at 2000."""
    return Findings(
        [
            Result("floats", 64, OURS, samples(1200, 600, p99_ms=5, cpu_us=50)),
            Result("floats", 64, "FastAPI", samples(100, 50, p50_ms=20)),
            Result("floats", 64, "BentoML", samples(20, 10, p50_ms=4)),
            Result("floats", 64, TRITON, samples(400, 200, p50_ms=9, cpu_us=250)),
            Result("floats", 64, BARE_UVICORN, samples(2000, 1000)),
            Result("floats", 1, OURS, samples(10, 10, p50_ms=0.2)),
            Result("floats", 1, CALLABLE_ONE, samples(10, 10, p50_ms=0.01)),
        ],
        {("dense", "Ray Serve"): "it is not installed"},
    )


def told(findings, text, experiments=None):
    (promise,) = [one for one in PROMISES if one.text == text]
    return promise, promise.found(findings, experiments or {})


@pytest.mark.parametrize(
    ("text", "value", "holds", "rival"),
    [
        ("3 floats, 64 connections, over the best Python peer", 12, True, "FastAPI"),
        ("the same over PyTriton", 3, False, ""),
        ("the same over the constant answer of bare uvicorn", 0.6, False, ""),
        ("our p99 over the lowest p50 of a peer", 5 / 4, False, "BentoML"),
        ("3 floats, one connection: p50 above the callable, ms", 0.19, False, ""),
    ],
)
def test_promise_compares_with_the_best_of_those_that_took_part(findings, text, value, holds, rival) -> None:
    promise, found = told(findings, text)
    assert (found.value, promise.holds(found.value)) == (pytest.approx(value), holds)
    assert found.rival == rival


def test_promise_is_not_measured_when_the_other_took_no_part(findings) -> None:
    assert told(findings, "dense row over PyTriton")[1] is None


def test_promise_tells_the_turns_lowest_and_highest(findings) -> None:
    findings.results[0].samples[:] = samples(1200, 500)
    _, found = told(findings, "the same over PyTriton")
    assert (found.low, found.value, found.high) == (2.5, 2.75, 3)


def test_promise_of_an_experiment_is_read_from_what_it_found(findings) -> None:
    text = "p99 of others while 200 MB take over, over quiet, one core"
    swapped = {"swap": {"on the server's core": {"ratio": {"median": 1.2, "low": 1, "high": 2}}}}
    promise, found = told(findings, text, swapped)
    assert promise.holds(found.value)
    assert (found.value, found.high) == (1.2, 2)
    assert told(findings, text, {"swap": {"failed": "the version did not take over"}})[1] is None


def test_promise_of_growth_is_the_steepest_step(findings) -> None:
    growth = {"growth": {"p50 in ms by bytes": {100: 1.0, 1000: 1.0, 10_000: 100.0}}}
    promise, found = told(findings, "steepest step's exponent: time by body size", growth)
    assert found.value == pytest.approx(2)
    assert not promise.holds(found.value)


def test_comparison_without_a_bound_is_neither_kept_nor_missed(findings) -> None:
    unbounded = [one for one in PROMISES if one.bound is None]
    assert unbounded
    assert all(one.holds(0.0) is None for one in unbounded)


def test_every_peer_is_in_a_promise() -> None:
    """A peer that no promise names could be the best one and not be seen."""
    assert {peer.name for peer in PEERS} == {*PYTHON_PEERS, TRITON}


def test_chart_has_every_target_of_the_busiest_setting(findings, tmp_path) -> None:
    file = tmp_path / "chart.svg"
    draw(findings, frozenset({"FastAPI"}), file)
    text = file.read_text()
    assert all(name in text for name in (OURS, "FastAPI", BARE_UVICORN))
    assert CALLABLE_ONE not in text  # of one connection only


def test_workloads_of_promises_are_measured() -> None:
    """Each promise's workload is asked with the connections that it is about."""
    everything = Findings(
        [
            Result(workload.name, connections, target, samples(1.0))
            for workload in WORKLOADS
            for connections in workload.peer_connections
            for target in (OURS, *PYTHON_PEERS, TRITON)
        ]
    )
    peers = {*PYTHON_PEERS, TRITON}
    beside = [one for one in PROMISES if any(peer in one.text for peer in peers) or "Python peer" in one.text]
    assert len(beside) == 9
    assert all(promise.found(everything, {}) is not None for promise in beside)


def test_chart_of_nothing_is_no_file(tmp_path) -> None:
    draw(Findings([Result("strings", 64, OURS, samples(1.0))]), frozenset(), tmp_path / "chart.svg")
    assert list(tmp_path.iterdir()) == []
