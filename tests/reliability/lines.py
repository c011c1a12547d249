"""One JSON line for each test that shows a case of the catalogue, written when the test has ended.

A pytest plugin: `catalogue.py` alone says which tests count, so that one elsewhere needs no change. A test that has a
figure gives it to `record_case`. Lines go to the file that TFSERVE_RELIABILITY_LINES names, and nowhere without it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.reliability.catalogue import CASES_BY_TEST

VARIABLE = "TFSERVE_RELIABILITY_LINES"
ROOT = Path(__file__).parents[2]
FIGURES = pytest.StashKey[list[dict[str, Any]]]()
SEED = int(os.environ.get("TFSERVE_RELIABILITY_SEED", "7"))

RecordCase = Callable[..., None]


@pytest.fixture
def record_case(request: pytest.FixtureRequest) -> RecordCase:
    """`record_case("L13", "goodput at 10x", 97.2, "% of peak")`: a figure for the line of this test."""

    def record(case: str, what: str, figure: float, unit: str) -> None:
        figures = request.node.stash.setdefault(FIGURES, [])
        figures.append({"id": case, "what": what, "figure": round(float(figure), 3), "unit": unit})
        print(f"{case}: {what}: {figure:.3f} {unit}")

    return record


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Writes the lines of a test that was run; one that was skipped shows nothing."""
    report = yield
    is_over = report.when == "call" or (report.when == "setup" and report.failed)
    path = os.environ.get(VARIABLE)
    if path and is_over and not report.skipped:
        cases = CASES_BY_TEST.get(item.nodeid.partition("[")[0], ())
        figures = item.stash.get(FIGURES, [])
        with Path(path).open("a", encoding="utf-8") as file:
            for case in cases:
                line = {
                    "id": case.id,
                    "promise": case.promise,
                    "test": item.nodeid,
                    "pass": report.passed,
                    "figures": [
                        {name: one[name] for name in ("what", "figure", "unit")}
                        for one in figures
                        if one["id"] == case.id
                    ],
                    "tier": "nightly" if item.get_closest_marker("nightly") else "every run",
                    "seconds": round(report.duration, 1),
                    **surroundings(),
                }
                file.write(json.dumps(line) + "\n")
    return report


def surroundings() -> dict[str, Any]:
    """Where a line was made, in words that name no machine."""
    memory = psutil.virtual_memory().total / 2**30
    python = ".".join(map(str, sys.version_info[:3]))
    return {
        "commit": _commit(),
        "machine": f"{platform.system()} {platform.machine()}, {memory:.0f} GiB, shared, Python {python}",
        "cores": os.cpu_count(),
        "seed": SEED,
    }


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
