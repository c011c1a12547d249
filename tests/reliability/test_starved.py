"""An engine without descriptors, and one whose clock is years off."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time

import psutil
import pytest

from tests.contract.engines import running_engine
from tests.reliability.oracles import GOOD
from tests.reliability.wire import Wire, post

REQUEST = post("/v1/models/half_plus_two:predict", b'{"instances": [1.0, 2.0, 5.0]}')
STARVED_S = 2.0


@pytest.mark.nightly
@pytest.mark.fault
async def test_engine_recovers_when_descriptors_ran_out(engine, oracles, record_case) -> None:
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process can be set on Linux alone")
    url, process = engine.connection.rest_url, psutil.Process(engine.process.pid)
    kept = await Wire.open(url)
    assert (await kept.ask(REQUEST))[0] == 200
    limit = process.num_fds() + 4
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    # The soft limit alone: raising the other one again takes rights.
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    held: list[Wire] = []
    try:
        for _ in range(64):
            with contextlib.suppress(OSError):
                held.append(await Wire.open(url))
        # Nothing to wait for: what is looked at is what the engine does meanwhile.
        process.cpu_percent()
        await asyncio.sleep(STARVED_S)
        starved_percent = process.cpu_percent()
        assert (await kept.ask(REQUEST))[0] == 200
        # No file can be opened to save it in: refused with the reason, and nothing has changed.
        label = f"/control/models/{GOOD}/labels/starved"
        refused = await asyncio.to_thread(engine.control.put, label, json={"version": 1})
        assert (refused.status_code, refused.json()["error"]) == (
            400,
            "The server's state cannot be saved: Too many open files",
        )
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
        for wire in held:
            wire.close()
        kept.close()
    began = time.perf_counter()
    fresh = await Wire.open(url)
    assert (await fresh.ask(REQUEST))[0] == 200
    fresh.close()
    models = (await asyncio.to_thread(engine.call, "GET", "/control/state"))["models"]
    assert not any("starved" in model["labels"] for model in models)
    record_case("F15", "processor time while starved", starved_percent, "% of a core")
    record_case("F15", "answered again after", (time.perf_counter() - began) * 1000, "ms")
    assert starved_percent < 50


@pytest.mark.nightly
@pytest.mark.parametrize("offset", ["+10y", "-10y", "-1h"])
def test_requests_are_answered_when_the_clock_is_years_off(
    tool, tmp_path, half_plus_two, monkeypatch, record_case, offset
) -> None:
    """Only the wall clock is moved: it decides about nothing that a request waits for."""
    library = [path for path in _faketime_libraries() if os.path.exists(path)]
    tool("faketime")
    if not library:
        pytest.skip("libfaketime is not where Debian has it")
    monkeypatch.setenv("LD_PRELOAD", library[0])
    monkeypatch.setenv("FAKETIME", offset)
    monkeypatch.setenv("DONT_FAKE_MONOTONIC", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    flags = (
        f"--model_base_path={half_plus_two.parent}",
        "--model_name=m",
        "--file_system_poll_wait_seconds=0.2",
    )
    with running_engine(tmp_path, *flags) as engine:
        monkeypatch.undo()
        engine.wait_version("m", 1)
        engine.call("PUT", "/control/models/m/limits", requests_per_second=1000)
        wrong = 0
        for _ in range(200):
            answer = engine.rest.post("/v1/models/m:predict", content='{"instances": [1.0]}')
            wrong += answer.json() != {"predictions": [2.5]}
    record_case("F12", f"wrong answers with the clock {offset}", wrong, "of 200")
    assert wrong == 0


def _faketime_libraries() -> list[str]:
    machine = os.uname().machine
    return [f"/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1"]
