"""F19 and F2 on running engines: folders on mounts that are read-only, which stops root too, or full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.oracles import GOOD, GOOD_ANSWER

MOUNTED = """#!/bin/sh
exec unshare -m sh -c '{mount} && exec "$@"' '{folder}' '{python}' "$@"
"""
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
SMALL = 'mount -t tmpfs -o size=1m tmpfs "$0"'
REFUSALS = 100


@pytest.fixture
def python_beside(tmp_path, tool) -> Callable[..., str]:
    """`python_beside(folder)`: an interpreter for whose processes the folder is read-only, or another mount."""
    works = subprocess.run([tool("unshare"), "-m", "true"], capture_output=True, check=False)
    if works.returncode != 0:
        pytest.skip("mounts of one's own take rights")

    def make(folder: Path, mount: str = READ_ONLY) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        script = tmp_path / "python"
        script.write_text(MOUNTED.format(mount=mount, folder=folder, python=sys.executable))
        script.chmod(0o755)
        return str(script)

    return make


@pytest.mark.fault
def test_engine_serves_from_memory_and_says_so_when_its_state_cannot_be_written(
    python_beside, tmp_path, saved_models, start_engine, monkeypatch, record_case
) -> None:
    state = tmp_path / "state"
    monkeypatch.setattr(sys, "executable", python_beside(state))
    engine = start_engine(
        f"--model_base_path={saved_models}/version", "--model_name=m", f"--state_dir={state}"
    )
    engine.wait_version("m", 3)
    engine.call("POST", "/control/open", path=str(saved_models / GOOD))
    engine.wait_version(GOOD, 1)
    engine.call("PUT", "/control/models/m/labels/live", version=3)
    assert engine.predict(GOOD, instances=[1.0, 2.0, 5.0]) == {"predictions": GOOD_ANSWER}
    answer = engine.rest.post("/v1/models/m/labels/live:predict", content='{"inputs": [[1.0]]}')
    assert answer.json()["outputs"]["version"] == [3]
    told = "The state folder cannot be written (Read-only file system): changes hold until this server ends"
    details = [event["detail"] for event in engine.call("GET", "/control/history")["events"]]
    assert any(detail.startswith(told) for detail in details), details
    log = engine.log.read_text()
    assert log.count(told) == 1
    assert "the quarantine cannot be saved" not in log
    assert list(state.iterdir()) == []
    record_case(
        "F19", "changes refused with a read-only state folder, which was told at the start", 0, "of 2"
    )


@pytest.mark.fault
def test_changes_are_refused_whole_while_a_disk_is_full_and_made_when_it_is_not(
    python_beside, tmp_path, saved_models, start_engine, monkeypatch, record_case
) -> None:
    """F2 on a file system of its own, which the test sees through the engine's root."""
    state = tmp_path / "state"
    monkeypatch.setattr(sys, "executable", python_beside(state, SMALL))
    flags = (f"--model_base_path={saved_models}/{GOOD}", f"--model_name={GOOD}", f"--state_dir={state}")
    engine = start_engine(*flags)
    engine.wait_version(GOOD, 1)
    engine.call("PUT", f"/control/models/{GOOD}/labels/live", version=1)
    folder = Path(f"/proc/{engine.process.pid}/root{state}")
    saved = (folder / "models.json").read_bytes()
    with pytest.raises(OSError, match="No space left"):
        (folder / "filler").write_bytes(bytes(2 * 2**20))
    lost = 0
    for number in range(REFUSALS):
        label = f"/control/models/{GOOD}/labels/l{number}"
        refused = engine.control.put(label, json={"version": 1})
        assert refused.status_code == 400, refused.text
        assert refused.json()["error"] == "The server's state cannot be saved: No space left on device"
        lost += (folder / "models.json").read_bytes() != saved
    assert engine.predict(GOOD, instances=[1.0, 2.0, 5.0]) == {"predictions": GOOD_ANSWER}
    (folder / "filler").unlink()
    engine.call("PUT", f"/control/models/{GOOD}/labels/later", version=1)
    (model,) = engine.call("GET", "/control/state")["models"]
    record_case("F2", "states lost or half saved on a full disk", lost, f"of {REFUSALS} changes")
    assert lost == 0
    assert model["labels"] == {"live": 1, "later": 1}
    assert b"later" in (folder / "models.json").read_bytes()


@pytest.mark.fault
def test_engine_ends_with_one_line_when_its_connection_file_cannot_be_written(
    python_beside, tmp_path, saved_models
) -> None:
    runtime = tmp_path / "runtime"
    command = [python_beside(runtime), "-m", "jupyter_tfserve", "serve", "--port=-1", "--rest_api_port=-1"]
    flags = (f"--model_base_path={saved_models}/{GOOD}", f"--connection_file={runtime}/c.json")
    done = subprocess.run(
        [*command, *flags], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False
    )
    assert done.returncode == 255
    line = "Failed to start server. Error: FAILED_PRECONDITION: the connection file cannot be written: "
    assert done.stdout.splitlines()[0] == f"{line}Read-only file system"
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.fault
def test_owner_gets_an_engine_and_a_note_when_its_home_is_read_only(
    python_beside, tmp_path, saved_models
) -> None:
    """As a kernel starts one: Jupyter's data folder is below the mount, its runtime folder is not."""
    home, runtime = tmp_path / "home", tmp_path / "runtime"
    code = f"""
import json
from jupyter_tfserve import connect
server = connect({str(saved_models / "half_plus_two")!r})
answer = server.query("half_plus_two", [1.0])
print(json.dumps([str(server._repr_mimebundle_()), str(answer)]))
server.stop()
"""
    environment = {**os.environ, "JUPYTER_DATA_DIR": f"{home}/jupyter", "JUPYTER_RUNTIME_DIR": str(runtime)}
    done = subprocess.run(
        [python_beside(home), "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told, answer = json.loads(done.stdout.splitlines()[-1])
    assert "2.5" in answer
    assert "cannot be written (Read-only file system): models, labels and settings hold until" in told
