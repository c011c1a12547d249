"""The whole command, as far as it goes without peers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.benchmarks.limits.targets import BARE_UVICORN, CALLABLE_ONE, ECHO_AIO, ECHO_THREADS
from tests.benchmarks.models import ROOT
from tests.benchmarks.report import BEGIN, END
from tests.benchmarks.targets import OURS


def run(*arguments) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_names_workloads_and_experiments() -> None:
    done = run("--help")
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("grpc_floats", "through_jupyter", "--peer-python"))


@pytest.mark.nightly
def test_two_workloads_are_measured_beside_their_limits(tmp_path) -> None:
    done = run("--quick", "--only", "floats,grpc_floats", "--peers", "none", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "benchmark.json").read_text())
    assert told["absent"] == []
    taken = {(one["workload"], one["target"]) for one in told["results"]}
    assert {("floats", name) for name in (OURS, BARE_UVICORN, CALLABLE_ONE)} <= taken
    assert {("grpc_floats", name) for name in (OURS, ECHO_AIO, ECHO_THREADS, CALLABLE_ONE)} <= taken
    assert told["promises"][2]["found"]["value"] > 0
    assert all(
        turn["answers"] > 0 and turn["errors"] == 0 for one in told["results"] for turn in one["samples"]
    )
    assert "<svg" in (tmp_path / "benchmark.svg").read_text()


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_run_goes_into_a_page_again_without_measuring(tmp_path) -> None:
    page = tmp_path / "docs" / "performance.md"
    (page.parent / "images").mkdir(parents=True)
    page.write_text(f"# Title\n{BEGIN}\n{END}\n")
    only = "floats,through_jupyter,live"
    asked = ["--only", only, "--connections", "1", "--peers", "none", "--out", tmp_path, "--docs", page]
    done = run("--quick", *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    written = page.read_text()
    told = json.loads((tmp_path / "benchmark.json").read_text())
    assert told["experiments"]["through_jupyter"]["p50 through Jupyter, ms"] > 0
    assert told["experiments"]["live"]["image, alone"]["total"] > 0
    assert str(tmp_path) not in written
    page.write_text(f"# Title\n{BEGIN}\n{END}\n")
    assert run("--show", tmp_path / "benchmark.json", "--docs", page).returncode == 0
    assert page.read_text() == written
