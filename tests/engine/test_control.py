"""The control API of a real engine: who may ask, what each route does, and how each refuses."""

from __future__ import annotations

import json
import shutil
import socket
from urllib.parse import urlsplit

import httpx
import pytest

WRONG_TOKENS = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Basic dXNlcjpwYXNz"},
    {"Authorization": "Bearer ünïcödé".encode()},
    {"Authorization": b"Bearer \xff\xfe"},
]


@pytest.fixture
def control(start_engine):
    """An engine without models and the client of its control port, token included."""
    return start_engine().control


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """(status, code, text) of an error; its shape is always the same."""
    assert answer.headers["Content-Type"] == "application/json"
    document = answer.json()
    assert document.keys() == {"error", "code", "hint"}
    assert document["hint"] is None or document["hint"]
    return answer.status_code, document["code"], document["error"]


def test_only_the_token_opens_any_route(start_engine) -> None:
    engine = start_engine()
    url, token = engine.connection.control_url, engine.connection.token
    routes = ["/control/state", "/control/nowhere", "/v1/models", "/healthz", "/"]
    with httpx.Client(base_url=url, trust_env=False) as client:
        for headers in [*WRONG_TOKENS, {"Authorization": f"Bearer {token}x"}, {"Authorization": token}]:
            for path in routes:
                status, code, text = refusal(client.get(path, headers=headers))
                assert (status, code) == (401, "UNAUTHENTICATED")
                assert token not in text
        refused = client.post("/control/shutdown", headers={"Authorization": "Bearer guess"})
        assert refused.status_code == 401
    # The token is for this port alone; the REST port neither needs nor shows it.
    assert token not in engine.rest.get("/v1/models").text
    assert engine.rest.get("/control/state").status_code == 404
    assert token not in engine.log.read_text()
    assert engine.call("GET", "/control/state")["engine"]["pid"] == engine.process.pid


def test_names_of_other_hosts_are_refused(start_engine) -> None:
    engine = start_engine()
    answer = engine.control.get("/control/state", headers={"Host": "evil.test"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "text"),
    [
        ("GET", "/control/nowhere", 404, "NOT_FOUND", "The control API has no /control/nowhere"),
        (
            "GET",
            "/control/models/m/nothing",
            404,
            "NOT_FOUND",
            "The control API has no /control/models/m/nothing",
        ),
        ("POST", "/control/state", 501, "UNIMPLEMENTED", "POST is not possible here; use GET"),
        ("GET", "/control/open", 501, "UNIMPLEMENTED", "GET is not possible here; use POST"),
        (
            "GET",
            "/control/models/m/labels/l",
            501,
            "UNIMPLEMENTED",
            "GET is not possible here; use PUT or DELETE",
        ),
    ],
)
def test_unknown_route_and_wrong_verb_are_told_apart(
    control, method: str, path: str, status: int, code: str, text: str
) -> None:
    assert refusal(control.request(method, path)) == (status, code, text)


ERRORS = [
    ("POST", "/control/open", "", 400, "The body needs 'path' as str"),
    ("POST", "/control/open", "{", 400, "The body is not JSON"),
    ("POST", "/control/open", "[]", 400, "The body must be a JSON object"),
    ("POST", "/control/open", '{"path": 1}', 400, "The body needs 'path' as str"),
    ("POST", "/control/open", '{"path": "/", "name": 1}', 400, "'name' must be a string"),
    ("POST", "/control/open", '{"path": ""}', 400, "The path of a model must not be empty"),
    ("POST", "/control/open", '{"path": "/no/such/folder"}', 404, "There is no folder /no/such/folder"),
    ("DELETE", "/control/models/no", "", 404, "no"),
    ("PUT", "/control/models/no/labels/l", '{"version": 1}', 404, "no"),
    ("PUT", "/control/models/no/labels/l", "{}", 400, "The body needs 'version' as int"),
    ("PUT", "/control/models/no/labels/l", '{"version": true}', 400, "The body needs 'version' as int"),
    ("PUT", "/control/models/no/labels/l", '{"version": "1"}', 400, "The body needs 'version' as int"),
    ("DELETE", "/control/models/no/labels/l", "", 404, "no"),
    ("PUT", "/control/models/no/policy", '{"all": {}}', 404, "no"),
    ("PUT", "/control/models/no/policy", "{}", 400, ""),
    ("PUT", "/control/models/no/policy", '{"latest": {"num_versions": "x"}}', 400, ""),
    ("PUT", "/control/models/no/policy", '{"specific": {"versions": ["x"]}}', 400, ""),
    ("POST", "/control/models/no/refresh", "", 404, "no"),
    ("POST", "/control/models/no/versions/1/load", "", 404, "no"),
    ("GET", "/control/models/no/versions/1/wait?timeout_s=0.05", "", 504, ""),
    (
        "GET",
        "/control/models/no/versions/1/wait?timeout_s=soon",
        "",
        400,
        "timeout_s=soon: expected a number",
    ),
    ("GET", "/control/models/no/versions/1/wait?timeout_s=nan", "", 400, "timeout_s=nan: expected a number"),
    ("GET", "/control/models/no/versions/one/wait", "", 404, "'one' is not a version"),
    ("GET", "/control/models/no/signatures", "", 404, "Servable not found for request: Latest(no)"),
    (
        "GET",
        "/control/models/no/signatures?version=7",
        "",
        404,
        "Servable not found for request: Specific(no, 7)",
    ),
    ("GET", "/control/models/no/signatures?version=inf", "", 400, "version=inf: expected a number"),
    ("GET", "/control/history?limit=x", "", 400, "limit=x: expected a number"),
    ("GET", "/control/history?limit=nan", "", 400, "limit=nan: expected a number"),
    ("POST", "/control/config", "{}", 400, "The body needs 'text' as str"),
    ("POST", "/control/config", '{"text": "model_config_list {"}', 400, ""),
    (
        "POST",
        "/control/config",
        '{"text": "custom_model_config {}"}',
        400,
        "Cannot transition to requested config.",
    ),
]


def test_every_route_refuses_with_code_and_text(control) -> None:
    codes = {400: {"INVALID_ARGUMENT", "FAILED_PRECONDITION"}, 404: {"NOT_FOUND"}, 504: {"DEADLINE_EXCEEDED"}}
    for method, path, body, status, text in ERRORS:
        answer = control.request(method, path, content=body)
        assert answer.status_code == status, (method, path, body, answer.text)
        _, code, said = refusal(answer)
        assert code in codes[status], (method, path, body, said)
        assert text in said, (method, path, body, said)
    # Nothing of it left a trace.
    assert control.get("/control/state").json()["models"] == []


def test_hint_tells_the_next_step(control) -> None:
    document = control.post("/control/open", content='{"path": "/no/such/folder"}').json()
    assert document["hint"] == "Check the spelling, or save a model there first."


@pytest.fixture
def versions(saved_models, tmp_path):
    """A folder of the test's own, with versions 1 and 2 in it."""
    for version in ("1", "2"):
        shutil.copytree(saved_models / "version" / version, tmp_path / "served" / version)
    return tmp_path / "served"


@pytest.mark.slow
def test_life_of_a_model_through_its_routes(start_engine, eventually, saved_models, versions) -> None:
    engine = start_engine()
    call = engine.call
    wanted = json.dumps({"path": str(versions), "name": "m"})
    for _ in range(2):
        opened = engine.control.post("/control/open", content=wanted)
        assert opened.json() == {"models": ["m"], "notes": []}
    up = engine.wait_version("m", 2)
    assert (up["version"], up["state"], up["error_code"], up["error_message"]) == (2, "AVAILABLE", "OK", "")
    assert isinstance(up["pid"], int)

    assert call("PUT", "/control/models/m/policy", all={}) == {}
    engine.wait_version("m", 1)
    assert call("PUT", "/control/models/m/labels/live", version=1) == {"previous": None}
    assert call("PUT", "/control/models/m/labels/live", version=2) == {"previous": 1}
    missing = engine.control.put("/control/models/m/labels/live", content='{"version": 9}')
    assert refusal(missing)[:2] == (400, "FAILED_PRECONDITION")
    assert "Load version 9 first" in missing.json()["hint"]

    signatures = call("GET", "/control/models/m/signatures?version=1")
    assert signatures["version"] == 1
    inputs = signatures["signatures"]["serving_default"]["inputs"]
    assert inputs == {"x": {"dtype": "float", "shape": [-1, 1]}}

    (model,) = call("GET", "/control/state")["models"]
    assert (model["name"], model["base_path"], model["labels"]) == ("m", str(versions), {"live": 2})
    assert [(entry["version"], entry["state"]) for entry in model["versions"]] == [
        (2, "AVAILABLE"),
        (1, "AVAILABLE"),
    ]
    # The data plane answers here as well, for the Jupyter proxy.
    predicted = engine.control.post("/v1/models/m/labels/live:predict", content='{"instances": [[1.0]]}')
    assert predicted.json()["predictions"][0]["version"] == 2

    shutil.copytree(saved_models / "version" / "3", versions / "3")
    assert call("POST", "/control/models/m/refresh") == {}
    assert call("POST", "/control/models/m/versions/99/load") == {"wanted": False}
    assert engine.wait_version("m", 3)["state"] == "AVAILABLE"
    assert call("DELETE", "/control/models/m/labels/live") == {"previous": 2}
    gone = engine.control.delete("/control/models/m/labels/live")
    assert refusal(gone) == (404, "NOT_FOUND", "Model m has no version label live")

    assert call("DELETE", "/control/models/m") == {}
    assert call("GET", "/control/state")["models"] == []

    def kinds() -> set[str]:
        return {event["kind"] for event in call("GET", "/control/history?limit=1000")["events"]}

    eventually(lambda: kinds() >= {"load", "label", "policy", "config", "unload"})
    (event, _) = call("GET", "/control/history?limit=2")["events"]
    assert event.keys() == {"time", "kind", "model", "version", "detail"}


def test_config_replaces_all_models(start_engine, saved_models, tmp_path) -> None:
    engine = start_engine()
    config = (
        f'model_config_list {{ config {{ name: "half" base_path: "{saved_models}/half_plus_two"'
        ' model_platform: "tensorflow" } }'
    )
    assert engine.call("POST", "/control/config", text=config) == {"notes": []}
    assert engine.predict("half", instances=[1.0]) == {"predictions": [2.5]}
    relative = engine.control.post(
        "/control/config", content=json.dumps({"text": config.replace(str(saved_models), "models")})
    )
    assert refusal(relative) == (
        400,
        "INVALID_ARGUMENT",
        "Expected model half to have an absolute path or URI; got base_path()=models/half_plus_two",
    )
    assert engine.predict("half", instances=[1.0]) == {"predictions": [2.5]}
    assert engine.call("POST", "/control/config", text="model_config_list {}") == {"notes": []}
    assert engine.call("GET", "/control/state")["models"] == []


def test_open_makes_an_empty_folder_when_asked(start_engine, tmp_path) -> None:
    engine = start_engine()
    folder = tmp_path / "new"
    body = json.dumps({"path": str(folder), "name": None, "create": True})
    opened = engine.control.post("/control/open", content=body).json()
    assert opened["models"] == ["new"]
    assert "holds no version yet" in opened["notes"][0]
    assert folder.is_dir()


def test_shutdown_answers_and_then_ends_well(start_engine) -> None:
    engine = start_engine()
    assert engine.call("POST", "/control/shutdown") == {}
    assert engine.process.wait(30) == 0
    address = urlsplit(engine.connection.control_url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=5)


def test_opening_one_version_of_a_served_model_says_that_nothing_changes(saved_models, start_engine) -> None:
    engine = start_engine()
    opened = engine.call("POST", "/control/open", path=str(saved_models / "version"))
    assert (opened["models"], opened["notes"]) == (["version"], [])
    engine.wait_version("version", 3)
    again = engine.call("POST", "/control/open", path=str(saved_models / "version" / "1"))
    assert again["notes"] == [
        "version is served already, with its own choice of versions: nothing has changed."
    ]
    assert engine.version_states("version") == {3: "AVAILABLE"}
    (model,) = engine.call("GET", "/control/state")["models"]
    assert model["first_load_pending"] is False


def test_log_tells_what_serves_and_what_failed(saved_models, start_engine, tmp_path, eventually) -> None:
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "saved_model.pb").write_bytes(b"no model")
    engine = start_engine("--max_num_load_retries=0")
    engine.call("POST", "/control/open", path=str(saved_models / "version"))
    engine.call("POST", "/control/open", path=str(tmp_path / "broken"))
    eventually(lambda: "{name: version version: 3}: AVAILABLE" in engine.log.read_text())
    eventually(
        lambda: (
            "WARNING" in engine.log.read_text()
            and "{name: broken version: 1}: END, " in engine.log.read_text()
        )
    )
