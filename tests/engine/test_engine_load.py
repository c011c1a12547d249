"""Changes under load: versions switch, labels move and processes die while requests keep coming.

Each answer carries the version that computed it, twice; a mixed answer would show two.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psutil
import pytest

BODY = b'{"inputs": [[1.0], [2.0]]}'
RATE = 500
CONNECTIONS = 8


QUIET_ANSWERS = 500
"""From so many on a p99 says something."""


@dataclass
class Answer:
    started: float
    version: int
    took_ms: float


@dataclass
class Load:
    """What came of a constant stream of requests."""

    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Requester:
    """One kept connection; a request at a time."""

    def __init__(self, url: str, path: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
        )

    async def run(self, load: Load, ticks: AsyncIterator[float]) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            async for started in ticks:
                writer.write(self._head)
                status = int((await reader.readline()).split()[1])
                length = 0
                while (line := await reader.readline()) != b"\r\n":
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                body = await reader.readexactly(length)
                self._judge(load, started, status, body, (time.monotonic() - started) * 1000)
        finally:
            writer.close()

    def _judge(self, load: Load, started: float, status: int, body: bytes, took_ms: float) -> None:
        if status != 200:
            load.failures.append(f"{status} {body!r}")
            return
        outputs = json.loads(body)["outputs"]
        versions = {row[0] for row in outputs["y"]} | set(outputs["version"])
        if len(versions) != 1:
            load.failures.append(f"mixed: {outputs}")
        load.answers.append(Answer(started, int(min(versions)), took_ms))


@contextlib.asynccontextmanager
async def loaded(url: str, path: str) -> AsyncIterator[Load]:
    """RATE requests a second, or what the machine carries, until the block ends; then nothing may be missing."""
    load, stop = Load(), asyncio.Event()
    numbers = itertools.count()
    begun = time.monotonic()

    async def ticks() -> AsyncIterator[float]:
        while not stop.is_set():
            delay = begun + next(numbers) / RATE - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            yield time.monotonic()

    requesters = [asyncio.ensure_future(Requester(url, path).run(load, ticks())) for _ in range(CONNECTIONS)]
    try:
        yield load
    finally:
        stop.set()
        await asyncio.gather(*requesters)


async def changed(engine, method: str, path: str, **body: object) -> None:
    await asyncio.to_thread(lambda: engine.call(method, path, **body))


async def reached(condition, deadline_s: float = 120) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def p99(answers: list[Answer]) -> float:
    """Milliseconds."""
    return statistics.quantiles([answer.took_ms for answer in answers], n=100)[98]


@pytest.mark.slow
@pytest.mark.parametrize("wanted_switches", [60, pytest.param(200, marks=pytest.mark.nightly)])
async def test_version_switches_lose_and_mix_nothing_under_load(
    saved_models, start_engine, record_case, wanted_switches
) -> None:
    engine = start_engine(f"--model_base_path={saved_models}/version", "--model_name=version")
    engine.wait_version("version", 3)
    switches = 0
    async with loaded(engine.connection.rest_url, "/v1/models/version:predict") as load:
        await reached(lambda: len(load.answers) >= QUIET_ANSWERS)
        quiet, began = len(load.answers), time.monotonic()
        for version in itertools.islice(itertools.cycle([1, 2, 3]), wanted_switches):
            await changed(engine, "PUT", "/control/models/version/policy", specific={"versions": [version]})
            wanted = [version]
            await reached(
                lambda wanted=wanted: (
                    [v for v, s in engine.version_states("version").items() if s == "AVAILABLE"] == wanted
                )
            )
            switches += 1
        took_s = time.monotonic() - began
    every = f"of {len(load.answers):,} beside {switches} switches"
    record_case("L1", "requests failed or answered by two versions", len(load.failures), every)
    record_case("L1", "switches a minute", 60 * switches / took_s, "")
    record_case("L1", "p99 before them", p99(load.answers[:quiet]), "ms")
    record_case("L1", "p99 during the switches", p99(load.answers[quiet:]), "ms")
    assert load.failures == []
    assert switches == wanted_switches
    assert {answer.version for answer in load.answers} == {1, 2, 3}
    assert len(load.answers) > 5 * wanted_switches


@pytest.mark.slow
async def test_label_moves_are_seen_by_every_later_request(saved_models, start_engine) -> None:
    engine = start_engine(f"--model_base_path={saved_models}/version", "--model_name=version")
    engine.wait_version("version", 3)
    engine.call("PUT", "/control/models/version/policy", all={})
    for version in (1, 2, 3):
        engine.wait_version("version", version)
    engine.call("PUT", "/control/models/version/labels/live", version=3)
    moves: list[tuple[float, float, int]] = [(0.0, 0.0, 3)]
    async with loaded(engine.connection.rest_url, "/v1/models/version/labels/live:predict") as load:
        for version in itertools.islice(itertools.cycle([1, 2, 3]), 200):
            asked = time.monotonic()
            await changed(engine, "PUT", "/control/models/version/labels/live", version=version)
            moves.append((asked, time.monotonic(), version))
            seen = len(load.answers)
            await reached(lambda seen=seen: len(load.answers) > seen + 2)
    assert load.failures == []
    for answer in load.answers:
        # Those that a request may see: the last move acknowledged before it began, and any under way since.
        last = max(
            index for index, (_, acknowledged, _) in enumerate(moves) if acknowledged <= answer.started
        )
        assert answer.version in {version for _, _, version in moves[last:]}
    later = [a for a in load.answers if a.started > moves[-1][1]]
    assert {answer.version for answer in later} == {moves[-1][2]}


@pytest.mark.slow
@pytest.mark.fault
async def test_killed_worker_costs_no_request_and_comes_back(saved_models, start_engine, eventually) -> None:
    engine = start_engine(f"--model_base_path={saved_models}/version", "--model_name=version")
    async with loaded(engine.connection.rest_url, "/v1/models/version:predict") as load:
        for _ in range(5):
            pid = await asyncio.to_thread(engine.worker_pid, "version", 3)
            os.kill(pid, signal.SIGKILL)

            def replaced(old: int = pid) -> bool:
                return engine.wait_version("version", 3)["pid"] not in (None, old)

            await asyncio.to_thread(eventually, replaced)
            seen = len(load.answers)
            await reached(lambda seen=seen: len(load.answers) > seen + 50)
    assert load.failures == []
    crashes = [e for e in engine.control.get("/control/history").json()["events"] if e["kind"] == "crash"]
    assert len(crashes) == 5


@pytest.mark.slow
@pytest.mark.fault
def test_poison_request_fails_alone_and_the_model_serves_on(saved_models, start_engine, eventually) -> None:
    engine = start_engine(f"--model_base_path={saved_models}/abort_run", "--model_name=m")
    assert engine.predict("m", instances=[1.0]) == {"predictions": [1.0]}
    poisoned = engine.rest.post("/v1/models/m:predict", content='{"instances": [-1.0]}')
    assert poisoned.status_code == 503
    assert "worker" in poisoned.json()["error"]
    eventually(
        lambda: engine.rest.post("/v1/models/m:predict", content='{"instances": [2.0]}').status_code == 200
    )


@pytest.mark.slow
@pytest.mark.fault
def test_request_whose_shape_aborts_the_model_costs_one_death_and_nobody_else(
    saved_models, start_engine, eventually
) -> None:
    engine = start_engine(f"--model_base_path={saved_models}/keras_picture", "--model_name=m")
    engine.wait_version("m", 1)
    picture = [[[0.0]] * 8] * 8
    flat = json.dumps({"instances": [[[0.0] * 8] * 8] * 5})
    for _ in range(4):
        refused = engine.rest.post("/v1/models/m:predict", content=flat)
        assert refused.status_code == 400, refused.text
        assert "shape [5,8,8], and the signature wants [?,8,8,1] float32" in refused.json()["error"]
    eventually(
        lambda: engine.rest.post("/v1/models/m:predict", json={"instances": [picture]}).status_code == 200
    )
    kinds = [event["kind"] for event in engine.call("GET", "/control/history")["events"]]
    assert kinds.count("crash") == 1


@pytest.mark.slow
@pytest.mark.fault
def test_version_below_serves_when_the_newest_keeps_killing_its_process(
    saved_models, start_engine, tmp_path, eventually
) -> None:
    """F7: a request that kills is tried twice; the second one makes the deaths too many."""
    import shutil

    for version, name in ((1, "fail_run"), (2, "abort_run")):
        shutil.copytree(saved_models / name / "1", tmp_path / "m" / str(version))
    engine = start_engine(
        f"--model_base_path={tmp_path / 'm'}", "--model_name=m", "--file_system_poll_wait_seconds=0"
    )
    engine.wait_version("m", 2)
    for _ in range(2):
        poisoned = engine.rest.post("/v1/models/m:predict", content='{"instances": [-1.0]}')
        assert poisoned.status_code == 503
    # The version below is not there yet: its callers wait for it, and are not told that there is no such model.
    assert engine.predict("m", instances=[1.0]) == {"predictions": [1.0]}
    eventually(lambda: engine.version_states("m") == {2: "END", 1: "AVAILABLE"})
    ended = engine.wait_version("m", 2)
    reason = "Quarantined after 3 deaths within 60 s; the last: worker process died (signal 6, aborted)"
    assert ended["error_message"] == reason
    assert reason in {event["detail"] for event in engine.call("GET", "/control/history")["events"]}
    assert engine.call("POST", "/control/models/m/versions/2/load") == {"wanted": True}
    assert engine.wait_version("m", 2)["state"] == "AVAILABLE"


@pytest.mark.slow
@pytest.mark.fault
def test_model_that_aborts_while_loading_leaves_all_others_serving(
    saved_models, start_engine, tmp_path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("abort_load", "half_plus_two"):
        (models / name).symlink_to(saved_models / name)
    engine = start_engine(
        f"--model_base_path={models}", "--max_num_load_retries=1", "--load_retry_interval_micros=1000"
    )
    ended = engine.wait_version("abort_load", 1)
    assert ended["state"] == "END"
    assert ended["error_code"] != "OK"
    assert "signal 6" in ended["error_message"]
    assert engine.predict("half_plus_two", instances=[1.0]) == {"predictions": [2.5]}
    status = engine.rest.get("/v1/models/abort_load").json()["model_version_status"][0]
    assert (status["state"], status["status"]["error_message"]) == ("END", ended["error_message"])


@pytest.mark.slow
def test_new_version_in_the_folder_takes_over_and_a_broken_one_does_not(
    saved_models, start_engine, tmp_path, eventually
) -> None:
    import shutil

    base = tmp_path / "version"
    shutil.copytree(saved_models / "version" / "1", base / "1")
    engine = start_engine(
        f"--model_base_path={base}",
        "--model_name=v",
        "--file_system_poll_wait_seconds=0.1",
        "--max_num_load_retries=0",
    )
    assert engine.predict("v", instances=[[0.0]])["predictions"][0]["version"] == 1
    shutil.copytree(saved_models / "version" / "2", base / "2")
    eventually(lambda: engine.version_states("v") == {2: "AVAILABLE", 1: "END"})
    assert engine.predict("v", instances=[[0.0]])["predictions"][0]["version"] == 2
    (base / "3").mkdir()
    (base / "3" / "saved_model.pb").write_bytes(b"not a model")
    assert engine.wait_version("v", 3)["state"] == "END"
    assert engine.version_states("v") == {3: "END", 2: "AVAILABLE", 1: "END"}
    assert engine.predict("v", instances=[[0.0]])["predictions"][0]["version"] == 2


@pytest.mark.slow
def test_unloaded_version_is_a_process_gone(saved_models, start_engine) -> None:
    engine = start_engine(f"--model_base_path={saved_models}/version", "--model_name=version")
    worker = psutil.Process(engine.worker_pid("version", 3))
    engine.call("DELETE", "/control/models/version")
    worker.wait(20)
    assert engine.rest.post("/v1/models/version:predict", content=BODY).status_code == 404


@pytest.mark.slow
@pytest.mark.fault
def test_killed_engine_leaves_no_orphan_and_keeps_what_was_acknowledged(
    saved_models, start_engine, tmp_path
) -> None:
    flags = (
        f"--model_base_path={saved_models}/version",
        "--model_name=version",
        f"--state_dir={tmp_path}/state",
    )
    engine = start_engine(*flags)
    engine.call("PUT", "/control/models/version/policy", specific={"versions": [1, 2]})
    engine.wait_version("version", 2)
    engine.wait_version("version", 1)
    engine.call("PUT", "/control/models/version/labels/stable", version=1)
    children = engine.processes()
    engine.process.kill()
    engine.process.wait(10)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    again = start_engine(*flags)
    answer = again.rest.post("/v1/models/version/labels/stable:predict", content=BODY)
    assert answer.json()["outputs"]["version"] == [1, 1]
    assert again.call("GET", "/control/state")["models"][0]["labels"] == {"stable": 1}


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("kind", ["hang_run", "spin"])
def test_model_that_hangs_on_some_requests_serves_the_others_again(
    saved_models, start_engine, eventually, kind
) -> None:
    engine = start_engine(
        f"--model_base_path={saved_models}/{kind}", "--model_name=m", "--rest_api_timeout_in_ms=1500"
    )
    engine.wait_version("m", 1)
    assert engine.predict("m", instances=[1.0]) == {"predictions": [1.0]}
    for _ in range(2):
        hung = engine.rest.post("/v1/models/m:predict", content='{"instances": [-1.0]}')
        assert hung.status_code == 504
    eventually(
        lambda: engine.rest.post("/v1/models/m:predict", content='{"instances": [2.0]}').status_code == 200
    )
    if (
        kind == "hang_run"
    ):  # TensorFlow itself ends these at their deadline, which costs no worker: it is told all the same

        def is_told() -> bool:
            events = engine.call("GET", "/control/history")["events"]
            return any("not over before its callers' deadlines" in event["detail"] for event in events)

        eventually(is_told)


@pytest.mark.slow
def test_labelled_version_stays_when_a_newer_one_arrives(
    saved_models, start_engine, tmp_path, eventually
) -> None:
    import shutil

    base = tmp_path / "version"
    shutil.copytree(saved_models / "version" / "1", base / "1")
    engine = start_engine(
        f"--model_base_path={base}", "--model_name=v", "--file_system_poll_wait_seconds=0.1"
    )
    engine.wait_version("v", 1)
    engine.call("PUT", "/control/models/v/labels/production", version=1)
    shutil.copytree(saved_models / "version" / "2", base / "2")
    engine.wait_version("v", 2)
    answer = engine.rest.post("/v1/models/v/labels/production:predict", content=BODY)
    assert answer.json()["outputs"]["version"] == [1, 1]
    engine.call("PUT", "/control/models/v/labels/production", version=2)
    eventually(lambda: engine.version_states("v") == {2: "AVAILABLE", 1: "END"})
