"""Ten thousand mutations of a model's file: each is served or refused with one reason, and takes nobody with it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.reliability.lines import SEED
from tests.reliability.mutation import mutated

ROOT = Path(__file__).parents[2]
LOADS = int(os.environ.get("TFSERVE_FUZZ_LOADS", "10000"))
SOURCES = ("half_plus_two", "tf1", "keras_ones")
VERSIONS = 40
ISOLATED = {"served", "refused", "died", "hung"}
"""What a process of its own is for; anything else would have been a fault of ours."""


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("source", SOURCES)
def test_mutated_model_is_served_or_refused_in_one_way(saved_models, record_case, source) -> None:
    count = LOADS // len(SOURCES)
    command = [sys.executable, "-m", "tests.reliability.broken_models", str(saved_models / source / "1")]
    done = subprocess.run(
        [*command, str(count), str(SEED)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes = Counter(json.loads(done.stdout))
    assert outcomes.total() == count
    told = ", ".join(f"{number:,} {name}" for name, number in sorted(outcomes.items()))
    faults = {name: number for name, number in outcomes.items() if name not in ISOLATED}
    record_case("F5", f"other outcomes of mutated files of {source} ({told})", sum(faults.values()), "")
    assert faults == {}


@pytest.mark.nightly
@pytest.mark.fault
def test_mutated_versions_evict_nobody_from_a_live_engine(
    tmp_path, saved_models, start_engine, eventually, record_case
) -> None:
    base, source = tmp_path / "models" / "m", saved_models / "keras_ones" / "1"
    shutil.copytree(source, base / "1")
    content = (source / "saved_model.pb").read_bytes()
    flags = ("--file_system_poll_wait_seconds=0.2", "--max_num_load_retries=0", "--num_load_threads=2")
    engine = start_engine(f"--model_base_path={base}", "--model_name=m", *flags)
    engine.wait_version("m", 1)
    engine.call("PUT", "/control/models/m/policy", all={})
    for number in range(2, VERSIONS + 2):
        half_made = base.parent / "half"
        shutil.copytree(source, half_made)
        half_made.joinpath("saved_model.pb").write_bytes(mutated(content, random.Random(SEED + number)))
        half_made.rename(base / str(number))
    failed = asked = 0

    def are_settled() -> bool:
        nonlocal failed, asked
        answer = engine.rest.post("/v1/models/m/versions/1:predict", content='{"instances": [[3.0]]}')
        asked += 1
        failed += answer.status_code != 200 or answer.json() != {"predictions": [[3.0]]}
        states = engine.version_states("m")
        return len(states) == VERSIONS + 1 and set(states.values()) <= {"AVAILABLE", "END"}

    eventually(are_settled)
    for status in engine.rest.get("/v1/models/m").json()["model_version_status"]:
        message = status["status"]["error_message"]
        assert (status["state"] == "AVAILABLE") != bool(message), status
        assert "Traceback" not in message
    record_case(
        "F5", f"requests failed on the version before, {VERSIONS} mutated ones", failed, f"of {asked:,}"
    )
    assert failed == 0
