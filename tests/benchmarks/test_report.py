"""A run's report: everything is in it, it can be read again, and it goes between its marks of a page."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.figures import Sample
from tests.benchmarks.report import BEGIN, END, Report, embed, read_report
from tests.benchmarks.side_by_side import Findings, Result
from tests.benchmarks.targets import OURS
from tests.benchmarks.workloads import WORKLOADS


@pytest.fixture
def report() -> Report:
    """Two turns of ours and of PyTriton, who was no match and needed more of its core's time than a second has."""
    ours = [
        Sample(1200, 1, 2, 1200, cpu_us=50),
        Sample(600, 1, 4, 600, cpu_us=50, load_share=0.004, others_share=0.25),
    ]
    theirs = [
        Sample(400, 9, 20, 400, cpu_us=250, load_share=0.95),
        Sample(200, 9, 20, 200, cpu_us=250, load_share=0.95),
    ]
    mixed = [
        Result(name, 64, OURS, [Sample(rate, 1, 2)]) for name, rate in (("dense", 300), ("two_models", 450))
    ]
    findings = Findings(
        [Result("floats", 64, OURS, ours), Result("floats", 64, "PyTriton", theirs), *mixed],
        {("dense", "Ray Serve"): "it ended with 1: at /home/me/ray/serve.py line 3"},
    )
    loaded = {
        "one caller": {"rate": None, "p50_ms": 3, "p99_ms": 4},
        "50%": {"rate": 1300, "p50_ms": 5, "p99_ms": 7},
    }
    ratio = {"median": 2.5, "low": 2.25, "high": 3}
    experiments = {
        "half_load": {"compute": {**loaded, "p99 at 50% over p50 of the bare callable": ratio}},
        "growth": {"requests/s by connections": {1: 4000.0, 64: 27_000.0}},
        "swap": {"failed": "the version did not take over"},
        "live": {"three_floats, alone": {"decode": 12.5, "total": 80.0}},
    }
    machine = {"cores": "2"}
    return Report("python -m tests.benchmarks", machine, findings, {"REST": {"parse": 1.25}}, experiments)


def test_report_has_every_turn_and_reads_as_it_was_written(report, tmp_path) -> None:
    report.write(tmp_path)
    told = json.loads((tmp_path / "benchmark.json").read_text())
    assert [turn["per_s"] for turn in told["results"][0]["samples"]] == [1200, 600]
    again = read_report(tmp_path / "benchmark.json")
    assert again.findings == report.findings
    assert again.as_markdown() == (tmp_path / "benchmark.md").read_text() == report.as_markdown()


@pytest.mark.parametrize(
    "line",
    [
        "| the same over PyTriton | at least 4 | 3 | **missed** | 5 |",
        "| its p99 at half of our closed loop, over a single call | at most 2 | 2.5 (2.25 to 3) | **missed** |  |",
        "| gRPC over PyTriton | at least 1 |  | not measured |  |",
        "| jupyter_tfserve | 900 | 600 to 1,200 | 1 | 3 | 50 | 0.00 | 0 |",
        "| requests/s by connections | 1 | 64 |",
        "|  | 4,000 | 27,000 |",
        "swap: the version did not take over",
        "| jupyter_tfserve | 450 | 1 |",
        "| one caller |  | 3 | 4 |",
        "| 50% | 1,300 | 5 | 7 |",
        "| three_floats, alone | 12.5 | 80 |",
        "| REST | 1.25 |",
        "- Ray Serve, dense row of 784, REST: it ended with 1: at … line 3",
    ],
)
def test_report_tells_promises_figures_failures_and_absences(report, line) -> None:
    assert line in report.as_markdown().splitlines()


def test_report_says_what_else_used_the_core_and_where_the_load_was_the_limit(report) -> None:
    text = report.as_docs()
    assert "25% in the worst" in text
    assert "was the limit for: PyTriton (3 floats, REST, 64 connections)." in text
    assert "/home" not in text


@pytest.mark.parametrize(("others_share", "says"), [(0.01, False), (0.2, True)])
def test_report_of_a_busy_machine_says_that_its_rates_are_none(report, others_share, says) -> None:
    busy = [Sample(600, 1, 4, load_share=0.1, others_share=others_share)] * 3
    report.findings.results[:] = [Result("floats", 64, OURS, busy)]
    assert ("rates and latencies of this run say nothing" in report.as_docs()) is says


def test_report_is_written_between_the_marks_and_nowhere_else() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nthe rest\n"
    assert embed(page, "new") == f"# Title\n\n{BEGIN}\nnew\n{END}\n\nthe rest\n"
    assert embed(embed(page, "new"), "old") == page
    with pytest.raises(ValueError, match="must have the lines"):
        embed("# Title\n", "new")


def test_workloads_have_names_of_their_own() -> None:
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)
