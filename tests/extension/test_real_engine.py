"""The whole way with the real engine and real models, through Jupyter's URL; and back after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time

import psutil
import pytest

CONTROL = "api/engines/default/control"


@pytest.fixture
def stand_in():
    """The real engine, in place of the stand-in."""


@pytest.fixture
def models(make_saved_models, jp_root_dir):
    """`saved_models/version` with versions 1 and 2 inside the server's root."""
    base = make_saved_models("version=1", "version=2")
    for version in ("1", "2"):
        shutil.copytree(base / "version" / version, jp_root_dir / "saved_models" / "version" / version)
    return jp_root_dir / "saved_models"


async def reply(call):
    response = await call
    return response.code, json.loads(response.body)


async def predict(api, target):
    code, answer = await reply(api("POST", f"v1/models/{target}:predict", {"instances": [[1.0], [2.0]]}))
    return (code, [row["version"] for row in answer["predictions"]]) if code == 200 else (code, answer)


async def available(api, *versions):
    for version in versions:
        code, state = await reply(
            api(
                "GET",
                f"{CONTROL}/models/version/versions/{version}/wait",
                params={"timeout_s": "60"},
                request_timeout=90,
            )
        )
        assert (code, state.get("state")) == (200, "AVAILABLE"), json.dumps(
            (state, await described(api)), indent=1
        )


async def described(api):
    """What a failure of these tests needs to be understood."""
    log = await reply(api("GET", "api/engines/default/log"))
    return (await reply(api("GET", f"{CONTROL}/state")))[1], log[1]["lines"]


async def until(condition, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.02)


def processes_of(pid):
    """The engine and all that it started."""
    engine = psutil.Process(pid)
    return [engine, *engine.children(recursive=True)]


def are_gone(processes):
    return all(not process.is_running() or process.status() == psutil.STATUS_ZOMBIE for process in processes)


@pytest.mark.slow
@pytest.mark.fault
async def test_models_and_labels_survive_a_killed_engine(api, models, engines):
    code, engine = await reply(api("POST", "api/engines", {}, request_timeout=90))
    assert code == 200, engine
    policy = {"all": {}}
    code, opened = await reply(api("POST", f"{CONTROL}/open", {"path": "saved_models"}, request_timeout=90))
    assert (code, opened["models"]) == (200, ["version"])
    assert (await reply(api("PUT", f"{CONTROL}/models/version/policy", policy)))[0] == 200
    await available(api, 1, 2)
    code, moved = await reply(api("PUT", f"{CONTROL}/models/version/labels/production", {"version": 1}))
    assert (code, moved) == (200, {"previous": None})
    assert await predict(api, "version/labels/production") == (200, [1, 1])
    assert await predict(api, "version") == (200, [2, 2])
    assert (await predict(api, "version/versions/9"))[0] == 404

    killed, (fork_server,) = processes_of(engine["pid"]), psutil.Process(engine["pid"]).children()
    os.kill(engine["pid"], signal.SIGKILL)
    await until(lambda: engines.get("default").to_json()["restarts"] == 1)
    await until(lambda: engines.get("default").to_json()["state"] == "running")
    code, again = await reply(api("GET", "api/engines/default"))
    assert again["pid"] != engine["pid"]
    assert (again["rest_url"], again["grpc_address"]) == (engine["rest_url"], engine["grpc_address"])
    await available(api, 1, 2)
    assert await predict(api, "version/labels/production") == (200, [1, 1])
    assert await predict(api, "version") == (200, [2, 2])
    # TensorFlow is imported once: the fork server is the next engine's, and its workers are new ones.
    killed.remove(fork_server)
    await until(lambda: are_gone(killed))
    assert len(fork_server.children()) == 2

    code, third = await reply(api("POST", "api/engines/default/restart", {}, request_timeout=90))
    assert (code, third["pid"] != again["pid"]) == (200, True)
    assert are_gone([fork_server])
    await available(api, 1, 2)
    assert await predict(api, "version/labels/production") == (200, [1, 1])

    stopped = processes_of(third["pid"])
    assert (await reply(api("DELETE", "api/engines/default", request_timeout=60)))[0] == 200
    assert are_gone(stopped)


async def test_real_engine_names_its_own_reason_when_it_cannot_start(api, jp_serverapp):
    options = jp_serverapp.web_app.settings["tfserve_options"]
    assert options.engine_arguments == ("--max_num_load_retries=many",)
    code, error = await reply(api("POST", "api/engines", {}, request_timeout=60))
    assert (code, error["code"]) == (400, "FAILED_PRECONDITION")
    assert "max_num_load_retries" in error["error"]
    assert "Traceback" not in error["error"]


@pytest.fixture
def extension_config(request):
    """A flag that the engine refuses, for the test that wants one."""
    if "cannot_start" in request.node.name:
        return {"engine_arguments": ["--max_num_load_retries=many"]}
    return {}
