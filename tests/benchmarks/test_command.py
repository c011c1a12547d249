"""The whole command, as far as it goes without peers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.benchmarks.limits.targets import BARE_UVICORN, CALLABLE_ONE, ECHO_AIO, ECHO_THREADS
from tests.benchmarks.models import ROOT
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
