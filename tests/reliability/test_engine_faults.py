"""Folders that change under a running engine, models that are broken, disks that are full or hang."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.test_engine_load import loaded, reached
from tests.reliability.oracles import GOOD, GOOD_ANSWER
from tests.reliability.test_connections import tool_running

COPIES = 5
FLAGS = ("--file_system_poll_wait_seconds=0.2", "--max_num_load_retries=0")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 3, len(content), 7):
        content[at] ^= 0xFF
    path.write_bytes(content)


BREAKAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "model cut": ("saved_model.pb", halved),
    "model empty": ("saved_model.pb", emptied),
    "model flipped": ("saved_model.pb", flipped),
    "index missing": ("variables/variables.index", Path.unlink),
    "index empty": ("variables/variables.index", emptied),
    "index flipped": ("variables/variables.index", flipped),
    "weights missing": ("variables/variables.data-00000-of-00001", Path.unlink),
    "weights cut": ("variables/variables.data-00000-of-00001", halved),
    "weights flipped": ("variables/variables.data-00000-of-00001", flipped),
}


@pytest.fixture
def base(tmp_path, saved_models) -> Path:
    """A model of one good version, which has variables."""
    folder = tmp_path / "models" / "m"
    shutil.copytree(saved_models / "keras_ones" / "1", folder / "1")
    return folder


@pytest.mark.slow
@pytest.mark.fault
def test_broken_versions_end_with_a_reason_and_evict_nobody(base, start_engine, record_case) -> None:
    engine = start_engine(f"--model_base_path={base}", "--model_name=m", *FLAGS)
    engine.wait_version("m", 1)
    failed = 0
    for number, (file, break_it) in enumerate(BREAKAGES.values(), start=2):
        half_made = base.parent / "half"
        shutil.copytree(base / "1", half_made)
        break_it(half_made / file)
        half_made.rename(base / str(number))
        ended = engine.wait_version("m", number)
        assert ended["state"] == "END", (file, ended)
        assert ended["error_code"] != "OK"
        reason = ended["error_message"]
        assert reason
        assert "Traceback" not in reason
        answer = engine.rest.post("/v1/models/m:predict", content='{"instances": [[3.0]]}')
        failed += answer.json() != {"predictions": [[3.0]]}
    record_case("F5", "requests failed on the version before", failed, f"with {len(BREAKAGES)} breakages")
    assert failed == 0
    assert engine.version_states("m")[1] == "AVAILABLE"


@pytest.mark.nightly
@pytest.mark.fault
def test_version_is_loaded_once_and_whole_when_copied_slowly(
    base, start_engine, eventually, record_case
) -> None:
    engine = start_engine(f"--model_base_path={base}", "--model_name=m", *FLAGS)
    engine.wait_version("m", 1)
    files = [path.relative_to(base / "1") for path in sorted((base / "1").rglob("*")) if path.is_file()]
    # The model's own file first: what is aspired by its presence alone would be loaded without variables.
    files.sort(key=lambda path: path.name != "saved_model.pb")
    delays = []
    for version in range(2, 2 + COPIES):
        for file in files:
            there = base / str(version) / file
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(base / "1" / file, there)
            assert engine.predict("m", instances=[[3.0]]) == {"predictions": [[3.0]]}
            assert engine.version_states("m")[version - 1] == "AVAILABLE"
        copied = time.monotonic()
        eventually(lambda version=version: engine.version_states("m").get(version) == "AVAILABLE")
        delays.append(time.monotonic() - copied)
    kinds = [event["kind"] for event in engine.call("GET", "/control/history")["events"]]
    false_loads = kinds.count("error") + kinds.count("crash")
    count = COPIES * len(files)
    record_case("F4", "loads of a half version", false_loads, f"of {count} files copied one by one")
    record_case("F4", "served after its last file, longest", max(delays), "s")
    assert false_loads == 0
    assert kinds.count("load") == 1 + COPIES


@pytest.mark.nightly
@pytest.mark.fault
async def test_deleted_folder_fails_no_request(
    tmp_path, saved_models, start_engine, eventually, record_case
) -> None:
    base = tmp_path / "models" / "version"
    shutil.copytree(saved_models / "version" / "1", base / "1")
    engine = await asyncio.to_thread(
        start_engine, f"--model_base_path={base}", "--model_name=version", *FLAGS
    )
    await asyncio.to_thread(engine.wait_version, "version", 1)
    async with loaded(engine.connection.rest_url, "/v1/models/version:predict") as load:
        shutil.copytree(saved_models / "version" / "2", base / "2")
        await asyncio.to_thread(
            eventually, lambda: engine.version_states("version") == {2: "AVAILABLE", 1: "END"}
        )
        (base / "1").rename(base / "gone")
        shutil.copytree(saved_models / "version" / "3", base / "3")
        await asyncio.to_thread(eventually, lambda: engine.version_states("version").get(3) == "AVAILABLE")
        shutil.rmtree(base / "3")
        await asyncio.to_thread(eventually, lambda: engine.version_states("version").get(2) == "AVAILABLE")
        seen = len(load.answers)
        await reached(lambda: len(load.answers) > seen + 50)
    record_case("F10", "requests failed", len(load.failures), f"of {len(load.answers):,}")
    assert load.failures == []


@pytest.mark.nightly
@pytest.mark.fault
async def test_requests_go_on_when_the_models_folder_hangs(
    base, start_engine, eventually, record_case
) -> None:
    """A pipe where a version's file should be: who opens it waits for a writer for ever."""
    engine = await asyncio.to_thread(start_engine, f"--model_base_path={base}", "--model_name=m", *FLAGS)
    await asyncio.to_thread(engine.wait_version, "m", 1)
    (base / "2").mkdir()
    os.mkfifo(base / "2" / "saved_model.pb")
    failed = 0
    for _ in range(200):
        answer = await asyncio.to_thread(
            engine.rest.post, "/v1/models/m:predict", content='{"instances": [[3.0]]}'
        )
        failed += answer.json() != {"predictions": [[3.0]]}
    record_case("F18", "requests failed", failed, "of 200")
    assert failed == 0
    assert engine.version_states("m")[1] == "AVAILABLE"


@pytest.mark.nightly
@pytest.mark.fault
async def test_requests_go_on_when_folders_cannot_be_listed(
    base, start_engine, tool, tmp_path, record_case
) -> None:
    """Who lists a folder waits ten seconds for the file system: the thread that looks for versions, and no request."""
    strace, trace = tool("strace"), tmp_path / "trace"
    engine = await asyncio.to_thread(start_engine, f"--model_base_path={base}", "--model_name=m", *FLAGS)
    await asyncio.to_thread(engine.wait_version, "m", 1)
    attached = ("-f", "-p", str(engine.process.pid), "-o", str(trace), "-e", "trace=getdents64")
    slowest_s, failed = 0.0, 0
    async with tool_running(strace, *attached, "-e", "inject=getdents64:delay_enter=10000000"):
        await reached(lambda: trace.exists() and "getdents64(" in trace.read_text())
        for _ in range(200):
            began = time.perf_counter()
            answer = await asyncio.to_thread(
                engine.rest.post, "/v1/models/m:predict", content='{"instances": [[3.0]]}'
            )
            slowest_s = max(slowest_s, time.perf_counter() - began)
            failed += answer.json() != {"predictions": [[3.0]]}
    record_case("F18", "requests failed while no folder could be listed", failed, "of 200")
    record_case("F18", "slowest answer meanwhile", slowest_s * 1000, "ms")
    assert failed == 0


@pytest.mark.fault
def test_change_is_refused_and_serving_goes_on_when_the_disk_is_full(engine, oracles, record_case) -> None:
    """A limit on the size of files stands for a full disk: the engine's writes fail from now on."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process can be set on Linux alone")
    engine.call("PUT", f"/control/models/{GOOD}/labels/live", version=1)
    key = engine.call("POST", "/control/keys", models=[GOOD])
    pid = engine.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        refused = engine.control.put(f"/control/models/{GOOD}/labels/other", json={"version": 1})
        assert refused.status_code == 400, refused.text
        assert refused.json()["code"] == "FAILED_PRECONDITION"
        assert refused.json()["hint"].startswith("Make room on the disk")
        assert "The server's state cannot be saved" in refused.json()["error"]
        oracles.check_clean(refused.text)
        revoked = engine.control.delete(f"/control/keys/{key['id']}")
        assert revoked.status_code == 400, revoked.text
        assert revoked.json()["error"].startswith("The key is revoked now, but not beyond a restart: ")
        oracles.check_clean(revoked.text)
        assert engine.call("GET", "/control/keys")["keys"] == []
        assert engine.predict(GOOD, instances=[1.0, 2.0, 5.0]) == {"predictions": GOOD_ANSWER}
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    models = {model["name"]: model for model in engine.call("GET", "/control/state")["models"]}
    assert models[GOOD]["labels"] == {"live": 1}
    engine.call("PUT", f"/control/models/{GOOD}/labels/other", version=1)
    assert engine.call("DELETE", f"/control/keys/{key['id']}") == {}
    record_case("F2", "changes half made", 0, "")
