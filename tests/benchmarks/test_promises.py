"""What a run's figures are made into: promises kept or missed, tables, the chart."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.chart import draw
from tests.benchmarks.figures import Sample
from tests.benchmarks.peers.catalog import PEERS
from tests.benchmarks.promises import PROMISES, PYTHON_PEERS, TRITON
from tests.benchmarks.report import Report
from tests.benchmarks.side_by_side import Findings, Result
from tests.benchmarks.targets import BARE_UVICORN, CALLABLE_ONE, OURS
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


def found(findings, text, experiments=None):
    (promise,) = [one for one in PROMISES if one.text == text]
    value = promise.found(findings, experiments or {})
    return value, value is not None and promise.holds(value)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("3 floats, 64 connections, over the best Python peer", 12, True),
        ("the same over PyTriton", 3, False),
        ("the same over the constant answer of bare uvicorn", 0.6, False),
        ("our p99 over the best peer's p50", 5 / 4, False),
        ("one connection above the callable, ms", 0.19, False),
        ("dense row over PyTriton", None, False),
    ],
)
def test_promise_compares_with_the_best_of_those_that_took_part(findings, text, value, holds) -> None:
    assert found(findings, text) == (value if value is None else pytest.approx(value), holds)


def test_promise_of_an_experiment_is_read_from_what_it_found(findings) -> None:
    text = "p99 of others while 200 MB take over, over quiet"
    assert found(findings, text, {"swap": {"ratio": 1.2}}) == (1.2, True)
    assert found(findings, text, {"swap": {"failed": "the version did not take over"}}) == (None, False)


def test_promise_of_growth_is_the_steepest_step(findings) -> None:
    text = "steepest exponent: time by body size"
    growth = {"growth": {"p50 in ms by bytes": {100: 1.0, 1000: 1.0, 10_000: 100.0}}}
    assert found(findings, text, growth) == (pytest.approx(2), False)


def test_every_peer_is_in_a_promise() -> None:
    """A peer that no promise names could be the best one and not be seen."""
    assert {peer.name for peer in PEERS} == {*PYTHON_PEERS, TRITON}


def test_report_names_what_is_missed_what_is_absent_and_every_turn(findings, tmp_path) -> None:
    report = Report(
        "python -m tests.benchmarks", {"cores": "2"}, findings, {"REST": {"parse": 1.25}}, {"swap": {}}
    )
    report.write(tmp_path)
    told = json.loads((tmp_path / "benchmark.json").read_text())
    assert [turn["per_s"] for turn in told["results"][0]["samples"]] == [1200, 600]
    assert told["absent"] == [{"workload": "dense", "target": "Ray Serve", "reason": "it is not installed"}]
    text = (tmp_path / "benchmark.md").read_text()
    assert "| the same over PyTriton | at least 4 | 3 | **missed** | 5 |" in text
    assert "Ray Serve, dense row of 784, REST: it is not installed" in text
    assert "| jupyter_tfserve | 900 | 600 to 1,200 |" in text


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
            for connections in workload.connections
            for target in (OURS, *PYTHON_PEERS, TRITON, BARE_UVICORN, CALLABLE_ONE)
        ]
    )
    rates = [promise for promise in PROMISES if " over " in promise.text and "PyTriton" in promise.text]
    assert rates
    assert all(promise.found(everything, {}) is not None for promise in rates)
