"""Several processes that serve one version: a death costs nobody a request, and their number changes live."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import threading


def replicas_of(engine, model: str) -> list[dict]:
    return engine.call("GET", "/control/state")["models"][0]["versions"][0]["replicas"]


def test_no_request_fails_when_a_replica_is_killed_under_load(
    start_engine, saved_models, tmp_path, eventually
):
    """The batch that was lost is run by another replica, and the number comes back, over a restart too."""
    flags = (
        "--replicas=2",
        f"--state_dir={tmp_path}/state",
        f"--model_base_path={saved_models}/half_plus_two",
    )
    engine = start_engine(*flags, "--model_name=m")
    version = engine.call("GET", "/control/state")["models"][0]["versions"][0]["version"]
    engine.wait_version("m", version)
    started = replicas_of(engine, "m")
    pids = [each["pid"] for each in started]
    assert len(set(pids)) == 2
    assert engine.call("GET", "/control/state")["models"][0]["versions"][0]["pid"] == pids[0]
    devices = [device["name"] for device in engine.call("GET", "/control/state")["engine"]["devices"]]
    assert {each["device"] for each in started} <= {"CPU", *devices}

    stop = threading.Event()
    answers: list[tuple[int, str]] = []

    def ask() -> None:
        while not stop.is_set():
            answer = engine.rest.post("/v1/models/m:predict", content='{"instances": [1.0, 2.0]}')
            answers.append((answer.status_code, answer.text))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        for pid in pids:
            seen = len(answers)
            eventually(lambda seen=seen: len(answers) > seen + 50)
            os.kill(pid, signal.SIGKILL)
            eventually(
                lambda pid=pid: (
                    len(now := [each["pid"] for each in replicas_of(engine, "m")]) == 2 and pid not in now
                )
            )
        stop.set()
        for one in asking:
            one.result()
    assert {(status, json.dumps(json.loads(text))) for status, text in answers} == {
        (200, '{"predictions": [2.5, 3.0]}')
    }

    route = "/control/models/m/replicas"
    for wrong in (-1, 65, 1.5, "2", True):
        refused = engine.control.put(route, content=json.dumps({"replicas": wrong}))
        assert (refused.status_code, "'replicas' must be" in refused.text) == (400, True), refused.text
    assert engine.call("GET", route)["replicas"] is None
    assert engine.call("PUT", route, replicas=1)["replicas"] == 1
    eventually(lambda: len(replicas_of(engine, "m")) == 1)
    engine.call("PUT", route, replicas=3)
    eventually(lambda: len(replicas_of(engine, "m")) == 3)
    assert engine.predict("m", instances=[1.0]) == {"predictions": [2.5]}
    engine.call("POST", "/control/shutdown", keep_models=True)
    engine.process.wait(20)

    again = start_engine(*flags, "--model_name=m")
    again.wait_version("m", version)
    assert len(replicas_of(again, "m")) == 3
    assert len(again.call("GET", route)["versions"][str(version)]) == 3
