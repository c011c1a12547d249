"""Memory that runs out for real: an engine in a control group of its own, which the system keeps to its limit."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.engines import config_text
from tests.reliability.oracles import GOOD, Oracles
from tests.reliability.test_soak import MAKE_BIG
from tests.running_engine import RunningEngine

LIMIT_BYTES = 640 * 2**20
"""Room for another fork server, which imports TensorFlow: the memory of the first was taken outside of the group, and
the system may end it while a model that took everything is still going."""
BIG_BYTES = 800 * 2**20
ROOTS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@pytest.fixture
def in_a_small_group() -> Iterator[Callable[[RunningEngine], None]]:
    """Puts an engine and all of its processes into a group of `LIMIT_BYTES`; what they take from now on counts."""
    made: list[Path] = []
    for root, name in ROOTS:
        group = root / f"jupyter-tfserve-{uuid.uuid4().hex[:8]}"
        try:
            group.mkdir()
            made.append(group)
            (group / name).write_text(str(LIMIT_BYTES))
            break
        except OSError:
            continue
    else:
        pytest.skip("control groups cannot be made here: that takes rights, and a writable /sys/fs/cgroup")

    def put(engine: RunningEngine) -> None:
        for pid in (engine.process.pid, *(process.pid for process in engine.processes())):
            (made[-1] / "cgroup.procs").write_text(str(pid))

    yield put
    for group in made:
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (group.parent / "cgroup.procs").write_text(pid)
        group.rmdir()


@pytest.fixture
def base(tmp_path, saved_models) -> Path:
    """`m`, of one good version: the other models that the tests need come as its versions."""
    folder = tmp_path / "m"
    shutil.copytree(saved_models / "fail_run" / "1", folder / "1")
    return folder


@pytest.fixture
def start(tmp_path, saved_models, base, start_engine, in_a_small_group):
    def started(*flags: str) -> RunningEngine:
        config = tmp_path / "models.config"
        config.write_text(config_text({GOOD: saved_models / GOOD, "m": base}))
        quick = ("--file_system_poll_wait_seconds=0.2", "--load_retry_interval_micros=1000")
        engine = start_engine(f"--model_config_file={config}", *quick, *flags)
        engine.wait_version(GOOD, 1)
        engine.wait_version("m", 1)
        in_a_small_group(engine)
        return engine

    return started


def add_version(base: Path, version: int, source: Path) -> None:
    """Complete at once, as a copy beside it that is renamed."""
    half_made = base.parent / "half"
    shutil.copytree(source, half_made)
    half_made.rename(base / str(version))


def make_big(folder: Path) -> Path:
    """`big`: 800 MB of variables."""
    code = MAKE_BIG.format(size=BIG_BYTES)
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.nightly
@pytest.mark.fault
def test_memory_that_a_group_denies_costs_only_the_version_that_takes_it(
    start, base, tmp_path, saved_models, eventually, record_case
) -> None:
    """F9, at load and at run: the system kills, which is known for what it is; nobody else notices."""
    engine = start("--memory_estimate_factor=0", "--max_worker_deaths=2")
    oracles = Oracles(engine)
    failed = 0

    def states() -> dict[int, str]:
        nonlocal failed
        answer = engine.rest.post("/v1/models/m/versions/1:predict", content='{"instances": [1.0]}')
        failed += answer.status_code != 200
        oracles.ask_good()
        return engine.version_states("m")

    engine.call("PUT", "/control/models/m/policy", all={})
    add_version(base, 2, make_big(tmp_path / "big"))
    eventually(lambda: states().get(2) == "END")
    big = engine.wait_version("m", 2)["error_message"]
    assert big == (
        "Quarantined after 2 deaths while it was loaded; the last: "
        "worker process died while loading (signal 9, killed, out of memory)"
    )
    add_version(base, 3, saved_models / "wide_answer" / "1")
    assert engine.wait_version("m", 3)["state"] == "AVAILABLE"
    asked = engine.rest.post("/v1/models/m/versions/3:predict", content='{"inputs": 200000000}')
    assert asked.status_code == 503, asked.text
    oracles.check_clean(asked.text)
    eventually(lambda: states().get(3) == "END")
    wide = engine.wait_version("m", 3)["error_message"]
    assert wide == (
        "Quarantined after 2 deaths within 60 s; the last: worker process died (signal 9, killed, out of memory)"
    )
    record_case("F9", "requests failed on the version before, two poisons in a group", failed, "")
    assert failed == 0


@pytest.mark.nightly
@pytest.mark.fault
def test_estimate_refuses_what_a_group_would_kill(start, base, tmp_path, record_case) -> None:
    engine = start("--max_num_load_retries=0")
    oracles = Oracles(engine)
    pids = {process.pid for process in engine.processes()}
    add_version(base, 2, make_big(tmp_path / "big"))
    ended = engine.wait_version("m", 2)
    assert (ended["state"], ended["error_code"]) == ("END", "RESOURCE_EXHAUSTED")
    assert "takes about 0.94 GiB of memory (1.2 times its files)" in ended["error_message"]
    assert engine.version_states("m")[1] == "AVAILABLE"
    assert {process.pid for process in engine.processes()} == pids, "nothing was started for it"
    oracles.check()
    record_case("F9", "processes started for what does not fit", 0, "")
