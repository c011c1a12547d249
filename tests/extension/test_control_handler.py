"""The engine's control API through Jupyter: listed calls pass with our token, nothing else does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_tfserve.engine.connection import read_connection
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.extension.handlers.control import engine_path

CONTROL = "api/engines/default/control"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "state", "/control/state"),
        ("GET", "models/a%20b/signatures", "/control/models/a%20b/signatures"),
        ("GET", "models/%C3%A9/versions/1/wait", "/control/models/%C3%A9/versions/1/wait"),
        ("POST", "models/m/refresh", "/control/models/m/refresh"),
        ("POST", "models/m/versions/2/load", "/control/models/m/versions/2/load"),
        ("PUT", "models/m/labels/a:b?c", "/control/models/m/labels/a%3Ab%3Fc"),
        ("DELETE", "models/m", "/control/models/m"),
    ],
)
def test_engine_path_encodes_parts_anew(method, path, expected):
    assert engine_path(method, path) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "shutdown"),
        ("GET", "shutdown"),
        ("POST", "state"),
        ("DELETE", "state"),
        ("GET", "models/m"),
        ("GET", "state/"),
        ("GET", ""),
        ("DELETE", "models/.."),
        ("DELETE", "models/%2e%2e"),
        ("DELETE", "models/a%2Fb"),
        ("DELETE", "models/a%00b"),
        ("DELETE", "models/a%0d%0ab"),
        ("DELETE", "models/%ff"),
        ("DELETE", "models//labels/x"),
    ],
)
def test_engine_path_refuses_what_is_not_listed(method, path):
    with pytest.raises(ServingError):
        engine_path(method, path)


async def reply(call):
    response = await call
    return response.code, json.loads(response.body)


async def test_calls_pass_with_our_token_and_their_body(api, running):
    code, echoed = await reply(api("PUT", f"{CONTROL}/models/m/labels/stable", {"version": 2}))
    assert code == 200
    assert echoed == {
        "method": "PUT",
        "path": "/control/models/m/labels/stable",
        "body": json.dumps({"version": 2}),
    }


async def test_only_listed_arguments_pass(api, running):
    arguments = {"timeout_s": "2", "x": "y", "version": "1"}
    _, echoed = await reply(api("GET", f"{CONTROL}/models/m/versions/1/wait", params=arguments))
    assert echoed["path"] == "/control/models/m/versions/1/wait?version=1&timeout_s=2"


async def test_errors_of_the_engine_pass_unchanged(api, running):
    code, error = await reply(api("DELETE", f"{CONTROL}/models/missing"))
    assert (code, error) == (404, {"error": "no such model", "code": "NOT_FOUND", "hint": "a hint"})


async def test_shutdown_is_not_offered(api, running):
    code, error = await reply(api("POST", f"{CONTROL}/shutdown", {}))
    assert (code, error["code"]) == (404, "NOT_FOUND")
    _, engine = await reply(api("GET", "api/engines/default"))
    assert engine["state"] == "running"


async def test_open_passes_an_allowed_path_made_absolute(api, running, jp_root_dir):
    (jp_root_dir / "models").mkdir()
    code, _ = await reply(api("POST", f"{CONTROL}/open", {"path": "models", "name": None, "create": False}))
    assert code == 200
    _, state = await reply(api("GET", f"{CONTROL}/state"))
    assert state["models"] == [{"path": str(jp_root_dir / "models"), "name": None, "create": False}]


@pytest.mark.parametrize("path", ["..", "/etc", "../root_dir-secret", "link"])
async def test_open_refuses_a_path_outside(api, running, jp_root_dir, path):
    (jp_root_dir.parent / "root_dir-secret").mkdir()
    (jp_root_dir / "link").symlink_to(jp_root_dir.parent / "root_dir-secret")
    code, error = await reply(api("POST", f"{CONTROL}/open", {"path": path}))
    assert (code, error["code"]) == (403, "PERMISSION_DENIED")
    assert "c.TFServe.allowed_base_paths" in error["hint"]
    _, state = await reply(api("GET", f"{CONTROL}/state"))
    assert state["models"] == []


@pytest.mark.parametrize("extension_config", [{"allowed_base_paths": ["/"]}])
async def test_open_passes_any_path_when_the_configuration_allows_it(api, running, extension_config):
    code, _ = await reply(api("POST", f"{CONTROL}/open", {"path": "/etc"}))
    assert code == 200


@pytest.mark.parametrize("body", [{}, {"path": 7}, {"path": ""}, {"path": "a\0b"}, b"x"])
async def test_open_refuses_what_names_no_folder(api, running, body):
    code, error = await reply(api("POST", f"{CONTROL}/open", body))
    assert (code, error["code"]) == (400, "INVALID_ARGUMENT")


def config_text(base_path):
    model = f'name: "m" base_path: "{base_path}" model_platform: "tensorflow"'
    return f"model_config_list {{ config {{ {model} }} }}"


async def test_config_passes_when_all_base_paths_are_allowed(api, running, jp_root_dir):
    text = config_text(jp_root_dir / "m")
    code, echoed = await reply(api("POST", f"{CONTROL}/config", {"text": text}))
    assert code == 200
    assert json.loads(echoed["body"]) == {"text": text}


@pytest.mark.parametrize("base_path", ["/etc", "gs://bucket/m"])
async def test_config_is_refused_when_a_base_path_lies_outside(api, running, base_path):
    text = config_text(base_path)
    code, error = await reply(api("POST", f"{CONTROL}/config", {"text": text}))
    assert (code, error["code"]) == (403, "PERMISSION_DENIED")
    as_json = {
        "model_config_list": {
            "config": [{"name": "m", "base_path": base_path, "model_platform": "tensorflow"}]
        }
    }
    code, error = await reply(api("POST", f"{CONTROL}/config", {"text": json.dumps(as_json)}))
    assert (code, error["code"]) == (403, "PERMISSION_DENIED")


async def test_config_that_does_not_parse_is_refused_here(api, running):
    code, error = await reply(api("POST", f"{CONTROL}/config", {"text": "model_config_list {"}))
    assert (code, error["code"]) == (400, "INVALID_ARGUMENT")


async def test_control_is_unavailable_with_the_next_step_when_nothing_runs(api):
    code, error = await reply(api("GET", f"{CONTROL}/state"))
    assert (code, error["code"]) == (503, "UNAVAILABLE")
    assert "%tfserve start" in error["hint"]


async def test_no_answer_holds_the_engines_token(api, running):
    token = read_connection(Path(running["connection_file"])).token.encode()
    for call in (api("GET", f"{CONTROL}/state"), api("POST", f"{CONTROL}/models/m/refresh", {})):
        assert token not in (await call).body
