"""Front processes of a real engine: the same answers, right counts, nothing old after a change, none left behind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import numpy as np
import psutil
import pytest

from jupyter_tfserve.client import Client
from jupyter_tfserve.errors import Code, ServingError
from tests.contract.engines import running_engine
from tests.running_engine import RunningEngine

PREDICT = "/v1/models/version:predict"
BODY = json.dumps({"instances": [[1.0]]})


@pytest.fixture(scope="module")
def engine(saved_models, tmp_path_factory) -> Iterator[RunningEngine]:
    """Two fronts; `version` has versions 1 and 2, `half_plus_two` and `strings` have one."""
    folder = tmp_path_factory.mktemp("fronts")
    config = folder / "models.config"
    config.write_text(
        "model_config_list {"
        + "".join(
            f'config {{ name: "{name}" base_path: "{saved_models / name}" model_platform: "tensorflow" '
            "model_version_policy { all {} } }"
            for name in ("version", "half_plus_two", "strings")
        )
        + "}"
    )
    with running_engine(folder, f"--model_config_file={config}", "--front_processes=2") as running:
        for version in (1, 2):
            running.wait_version("version", version)
        for name in ("half_plus_two", "strings"):
            running.wait_version(name, 1)
        yield running


def fronts(engine: RunningEngine) -> list[psutil.Process]:
    found = []
    for one in engine.processes():
        with contextlib.suppress(psutil.Error):
            if "jupyter_tfserve.engine.front" in one.cmdline():
                found.append(one)
    return found


def clients(engine: RunningEngine) -> Iterator[Client]:
    yield Client(engine.connection.rest_url)
    yield Client(engine.connection.rest_url, encoding="npy")
    yield Client(f"grpc://{engine.connection.grpc_address}")


@pytest.fixture
def connections(engine) -> Iterator[Callable[[int], list[httpx.Client]]]:
    """Connections of their own, which the fronts share among them."""
    with contextlib.ExitStack() as stack:

        def connect(count: int) -> list[httpx.Client]:
            url = engine.connection.rest_url
            return [
                stack.enter_context(httpx.Client(base_url=url, timeout=60, trust_env=False))
                for _ in range(count)
            ]

        yield connect


def samples(engine: RunningEngine, name: str) -> dict[str, float]:
    page = engine.control.get("/monitoring/prometheus/metrics").text
    lines = [line.rpartition(" ") for line in page.splitlines() if line.startswith(name)]
    return {key: float(value) for key, _, value in lines}


def test_answers_and_errors_are_the_engines_own(engine) -> None:
    for client in clients(engine):
        with client:
            assert client.predict("half_plus_two", [1.0, 2.0]).tolist() == [2.5, 3.0]
            joined = client.predict("strings", {"text": ["a"], "suffix": ["b"]})["joined"]
            assert joined.tolist() == [b"ab"]
            assert [one.version for one in client.status("version")] == [3, 2, 1]
            for call, code in (
                (lambda c: c.predict("nobody", [1.0]), Code.NOT_FOUND),
                (lambda c: c.predict("half_plus_two", [1.0], signature="no"), Code.FAILED_PRECONDITION),
                (lambda c: c.predict("half_plus_two", [1.0], label="no"), Code.INVALID_ARGUMENT),
            ):
                with pytest.raises(ServingError) as caught:
                    call(client)
                assert caught.value.code is code
    for body, error in (
        ('{"instances": ["a"]}', "not of expected type: float"),
        ('{"signature_name": "no", "instances": [1]}', 'Serving signature name: "no" not found'),
        ("{", "JSON Parse error"),
    ):
        answer = engine.rest.post("/v1/models/half_plus_two:predict", content=body)
        assert (answer.status_code, error in answer.json()["error"]) == (400, True)
    assert engine.rest.post("/v1/models/%FF:predict", content=BODY).status_code == 404
    assert engine.rest.get("/readyz").json() == {"ready": True}


def test_time_is_told_and_large_tensors_pass(engine) -> None:
    x = np.arange(300_000, dtype=np.float32)
    with Client(engine.connection.rest_url, encoding="npy") as client:
        assert np.array_equal(client.predict("half_plus_two", x), x / 2 + 2)
    answer = engine.rest.post(PREDICT, content=BODY, headers={"X-TFServe-Timing": "1"})
    assert all(name in answer.headers["Server-Timing"] for name in ("decode", "queue", "compute", "total"))


def test_no_request_sees_the_old_target_when_a_label_move_is_acknowledged(engine, connections) -> None:
    asked = connections(8)
    for version in (1, 2, 1, 2):
        engine.call("PUT", "/control/models/version/labels/live", version=version)
        for connection in asked:
            answer = connection.post("/v1/models/version/labels/live:predict", content=BODY)
            assert [row["version"] for row in answer.json()["predictions"]] == [version]


def test_signature_is_learnt_again_when_a_label_moves_to_another_one(
    start_engine, saved_models, tmp_path
) -> None:
    """The fronts know version 1 by its `x`; version 2 takes `text` and `suffix`. A limit of two counts two."""
    model = tmp_path / "changing"
    model.mkdir()
    (model / "1").symlink_to(saved_models / "half_plus_two" / "1")
    (model / "2").symlink_to(saved_models / "strings" / "1")
    flags = [f"--model_base_path={model}", "--model_name=changing", "--front_processes=2"]
    engine = start_engine(*flags)
    engine.wait_version("changing", 2)
    strings = json.dumps({"instances": [{"text": "a", "suffix": "b"}]})
    for _ in range(4):
        with httpx.Client(base_url=engine.connection.rest_url, timeout=60, trust_env=False) as connection:
            assert connection.post("/v1/models/changing:predict", content=strings).status_code == 200
    engine.call("PUT", "/control/models/changing/policy", specific={"versions": [1]})
    engine.wait_version("changing", 1)
    engine.call("PUT", "/control/models/changing/limits", requests_per_second=0.01, burst=2)
    statuses = [
        httpx.post(
            f"{engine.connection.rest_url}/v1/models/changing:predict",
            content='{"instances": [2.0]}',
            timeout=60,
        ).status_code
        for _ in range(3)
    ]
    assert statuses == [200, 200, 429]


def test_counts_are_the_sum_of_all_fronts(engine, connections) -> None:
    before = samples(engine, ":tensorflow:serving:request_count")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda one: one.post(PREDICT, content=BODY), connections(16)))
    assert {answer.status_code for answer in answers} == {200}
    engine.rest.post(PREDICT, content='{"instances": ["a"]}')
    after = samples(engine, ":tensorflow:serving:request_count")
    grown = {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}
    counted = {"OK": 16, "INVALID_ARGUMENT": 1}
    assert grown == {
        f':tensorflow:serving:request_count{{model_name="version",status="{status}"}}': count
        for status, count in counted.items()
    }


def test_key_counts_at_once_and_no_more_when_it_is_revoked(engine, connections) -> None:
    asked = connections(8)
    # While there is any key, what is sent as one must be one.
    engine.call("POST", "/control/keys", models=["half_plus_two"])
    made = engine.call("POST", "/control/keys", models=["version"])
    headers = {"Authorization": f"Bearer {made['key']}"}
    stranger = {"Authorization": f"Bearer tfserve_{'0' * 12}_{'A' * 43}"}
    for connection in asked:
        assert connection.post(PREDICT, content=BODY, headers=headers).status_code == 200
        assert connection.post(PREDICT, content=BODY, headers=stranger).status_code == 401
        assert connection.post("/v1/models/strings:predict", content=BODY, headers=headers).status_code == 403
    engine.call("DELETE", f"/control/keys/{made['id']}")
    for connection in asked:
        assert connection.post(PREDICT, content=BODY, headers=headers).status_code == 401


def test_front_that_dies_is_replaced_and_the_other_goes_on(engine, eventually, connections) -> None:
    dead, alive = fronts(engine)
    dead.kill()
    eventually(lambda: len(fronts(engine)) == 2 and dead.pid not in [one.pid for one in fronts(engine)])
    assert alive.is_running()
    for connection in connections(4):
        assert connection.post(PREDICT, content=BODY).status_code == 200


def test_other_server_is_refused_on_shared_ports(engine, start_engine) -> None:
    for flag, url, text in (
        ("--port", f"http://{engine.connection.grpc_address}", "gRPC port"),
        ("--rest_api_port", engine.connection.rest_url, "HTTP port"),
    ):
        port = url.rpartition(":")[2]
        for count in (1, 2):
            with pytest.raises(AssertionError, match=f"{text} {port} is already in use"):
                start_engine(f"{flag}={port}", f"--front_processes={count}")


def test_no_front_is_left_when_the_engine_is_killed(start_engine, eventually) -> None:
    engine = start_engine("--front_processes=2")
    left = fronts(engine)
    assert len(left) == 2
    engine.process.kill()
    engine.process.wait(30)
    eventually(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in left))
    with (
        grpc.insecure_channel(engine.connection.grpc_address) as channel,
        pytest.raises(grpc.FutureTimeoutError),
    ):
        grpc.channel_ready_future(channel).result(timeout=0.2)
