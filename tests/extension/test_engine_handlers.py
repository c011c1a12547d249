"""Engines through the Jupyter server's API: started, listed, restarted, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from jupyter_tfserve._version import __version__
from jupyter_tfserve.engine.connection import read_connection
from jupyter_tfserve.errors import ServingError

BEFORE = frozenset(os.environ)
"""The tests' own settings are in the environment too."""


async def document(call):
    response = await call
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return response.code, json.loads(response.body)


async def until(condition, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.01)


async def test_status_lists_no_engine_when_none_was_asked_for(api):
    code, status = await document(api("GET", "api/status"))
    assert (code, status) == (200, {"api_level": 1, "version": __version__, "engines": []})


async def test_post_starts_an_engine_that_belongs_to_this_server(api):
    code, engine = await document(api("POST", "api/engines", {}))
    assert code == 200
    assert (engine["name"], engine["state"]) == ("default", "running")
    connection = read_connection(Path(engine["connection_file"]))
    assert engine["rest_url"] == connection.rest_url
    assert connection.jupyter_server_pid == os.getpid()
    _, status = await document(api("GET", "api/status"))
    assert status["engines"] == [engine]


async def test_engine_needs_keys_when_that_is_asked_for(api):
    _, engine = await document(api("POST", "api/engines", {"require_keys": True}))
    assert "--require_keys" in psutil.Process(engine["pid"]).cmdline()
    _, again = await document(api("POST", "api/engines/default/restart", {}))
    assert "--require_keys" in psutil.Process(again["pid"]).cmdline()
    _, other = await document(api("POST", "api/engines", {"name": "other"}))
    assert "--require_keys" not in psutil.Process(other["pid"]).cmdline()


async def test_engine_json_holds_no_token(api, running):
    token = read_connection(Path(running["connection_file"])).token
    for path in ("api/status", "api/engines", "api/engines/default", "api/engines/default/log"):
        response = await api("GET", path)
        assert token.encode() not in response.body


async def test_post_returns_the_running_engine_with_a_note_when_other_ports_are_asked_for(api, running):
    _, again = await document(api("POST", "api/engines", {}))
    assert again["pid"] == running["pid"]
    _, other = await document(api("POST", "api/engines", {"rest_port": 0}))
    assert other["pid"] == running["pid"]
    assert "stop it first" in other["notes"][0]


async def test_posts_at_once_start_one_engine(api):
    replies = await asyncio.gather(*(document(api("POST", "api/engines", {})) for _ in range(4)))
    assert len({engine["pid"] for _, engine in replies}) == 1


async def test_engines_of_two_names_are_two_processes(api, running):
    ports = {"rest_port": -1, "grpc_port": -1}
    _, other = await document(api("POST", "api/engines", {"name": "second", **ports}))
    assert other["pid"] != running["pid"]
    _, listed = await document(api("GET", "api/engines"))
    assert [engine["name"] for engine in listed["engines"]] == ["default", "second"]


async def test_delete_stops_the_engine_and_leaves_no_file_of_it(api, running, jp_runtime_dir):
    code, _ = await document(api("DELETE", "api/engines/default"))
    assert code == 200
    assert not psutil.pid_exists(running["pid"])
    with pytest.raises(ServingError):
        read_connection(Path(running["connection_file"]))
    assert list(jp_runtime_dir.glob("tfserve-*")) == []
    code, error = await document(api("GET", "api/engines/default"))
    assert (code, error["code"]) == (404, "NOT_FOUND")


async def test_restart_gives_a_new_process(api, running):
    code, engine = await document(api("POST", "api/engines/default/restart"))
    assert code == 200
    assert engine["pid"] != running["pid"]
    assert engine["state"] == "running"


@pytest.mark.fault
async def test_engine_comes_back_when_it_is_killed(api, running, engines):
    os.kill(running["pid"], signal.SIGKILL)
    await until(lambda: engines.get("default").to_json()["restarts"] == 1)
    _, engine = await document(api("POST", "api/engines", {}))
    assert engine["pid"] != running["pid"]
    assert engine["rest_url"] == running["rest_url"]


async def test_log_shows_the_last_lines(api, running, engines):
    await until(lambda: engines.log_tail("default", 1))
    reply = await document(api("GET", "api/engines/default/log", params={"lines": "1"}))
    assert reply == (200, {"lines": ["ready"]})


@pytest.mark.parametrize("lines", ["0", "-1", "x", "99999999999", "１"])
async def test_log_refuses_a_count_that_is_none(api, running, lines):
    code, error = await document(api("GET", "api/engines/default/log", params={"lines": lines}))
    assert (code, error["code"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body",
    [
        {"require_keys": "yes"},
        b"{",
        b"[]",
        b"[" * 100_000,
        {"name": "../x"},
        {"name": 7},
        {"rest_port": "80"},
        {"rest_port": 65536},
        {"grpc_port": True},
    ],
)
async def test_post_refuses_what_is_no_request(api, engines, body):
    code, error = await document(api("POST", "api/engines", body))
    assert (code, error["code"]) == (400, "INVALID_ARGUMENT")
    assert engines.all() == []


async def test_post_refuses_to_listen_off_this_machine_unless_configured(api):
    code, error = await document(api("POST", "api/engines", {"host": "0.0.0.0"}))
    assert code == 403
    assert "c.TFServe.host" in error["hint"]


async def test_post_names_the_port_when_a_named_one_is_taken(api, engines):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        code, error = await document(api("POST", "api/engines", {"rest_port": port}))
    assert code == 503
    assert error["error"] == f"port {port} is taken by another program"
    assert error["hint"]
    assert engines.all() == []


async def test_post_shows_the_engines_own_reason_when_it_does_not_start(api, engine_flags):
    engine_flags.append("--fail=the disk is full")
    code, error = await document(api("POST", "api/engines", {}))
    assert (code, error["error"], error["code"]) == (400, "the disk is full", "FAILED_PRECONDITION")
    _, engine = await document(api("GET", "api/engines/default"))
    assert (engine["state"], engine["reason"]) == ("failed", "the disk is full")
    engine_flags.clear()
    code, engine = await document(api("POST", "api/engines", {}))
    assert (code, engine["state"], engine["reason"]) == (200, "running", None)


async def test_restart_works_when_the_engine_had_failed(api, engine_flags):
    engine_flags.append("--fail=no")
    await api("POST", "api/engines", {})
    engine_flags.clear()
    code, engine = await document(api("POST", "api/engines/default/restart"))
    assert (code, engine["state"]) == (200, "running")


async def test_stop_extension_leaves_no_engine(api, running, jp_serverapp):
    await jp_serverapp.cleanup_extensions()
    assert not psutil.pid_exists(running["pid"])


async def test_environment_gains_nothing_from_the_extension(api, running):
    token = read_connection(Path(running["connection_file"])).token
    assert token not in " ".join(os.environ.values())
    assert not [name for name in os.environ if "TFSERVE" in name and name not in BEFORE]


async def test_accident_shows_neither_trace_nor_text(api, engines, monkeypatch):
    def fail():
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(engines, "all", fail)
    code, error = await document(api("GET", "api/status"))
    assert (code, error) == (500, {"error": "Internal Server Error", "code": "INTERNAL", "hint": None})


async def test_unknown_path_answers_in_json(api):
    for method in ("GET", "POST", "PUT", "DELETE"):
        code, error = await document(api(method, "api/nothing/here"))
        assert (code, error["code"]) == (404, "NOT_FOUND")


async def test_unknown_verb_answers_in_json(api):
    code, error = await document(api("PATCH", "api/status", b"{}"))
    assert (code, error["code"]) == (405, "UNIMPLEMENTED")


@pytest.mark.parametrize("extension_config", [{"start_policy": "eager"}])
async def test_engine_starts_with_the_server_when_eager(api, jp_serverapp, engines, extension_config):
    extension = jp_serverapp.extension_manager.extension_apps["jupyter_tfserve"]
    for app in extension:
        await app._start_jupyter_server_extension(jp_serverapp)
    await until(lambda: [engine.to_json()["state"] for engine in engines.all()] == ["running"])


@pytest.mark.parametrize("jp_base_url", ["/", "/user/me/", "/a%40b/"])
async def test_api_lies_under_the_base_url(api, jp_base_url):
    code, status = await document(api("GET", "api/status"))
    assert (code, status["api_level"]) == (200, 1)
