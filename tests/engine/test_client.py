"""The client, against a real HTTP server: what it sends, what it makes of answers, and its errors."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest

from jupyter_tfserve.engine.client import ControlClient, error_of, predict_path
from jupyter_tfserve.engine.client_state import VersionState
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ModelSpec, Signature, TensorSpec
from tests.notebook.http_stand_in import serve_stand_in

STATE = {
    "engine": {
        "pid": 7,
        "version": "1.0",
        "api_level": 1,
        "started": 1.5,
        "rest_url": "http://127.0.0.1:8501",
        "grpc_address": None,
        "ready": True,
        "news": "a newer engine may say more",
    },
    "models": [
        {
            "name": "m",
            "base_path": "/models/m",
            "policy": {"all": {}},
            "labels": {"production": 2},
            "versions": [
                {"version": 2, "state": "AVAILABLE", "error_code": "OK", "error_message": "", "pid": 9},
                {
                    "version": 1,
                    "state": "END",
                    "error_code": "NOT_FOUND",
                    "error_message": "gone",
                    "pid": None,
                },
            ],
        }
    ],
}


@pytest.fixture
def engine():
    with serve_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def client(engine):
    client = ControlClient(engine.url, "secret", timeout_s=5)
    yield client
    client.close()


def test_state_is_parsed_when_the_engine_says_more_than_known(engine, client):
    engine.answer(STATE)
    state = client.state()
    assert state.engine.pid == 7
    assert state.engine.grpc_address is None
    (model,) = state.models
    assert model.labels == {"production": 2}
    assert model.versions == (
        VersionState(2, "AVAILABLE", "OK", "", 9),
        VersionState(1, "END", "NOT_FOUND", "gone", None),
    )


CALLS = [
    (
        lambda c: c.open("/m", "n", create=True),
        "POST",
        "/control/open",
        {"path": "/m", "name": "n", "create": True},
    ),
    (lambda c: c.remove_model("a/b"), "DELETE", "/control/models/a%2Fb", None),
    (lambda c: c.set_label("m", "l l", 3), "PUT", "/control/models/m/labels/l%20l", {"version": 3}),
    (lambda c: c.set_policy("m", {"all": {}}), "PUT", "/control/models/m/policy", {"all": {}}),
    (lambda c: c.refresh("m"), "POST", "/control/models/m/refresh", None),
    (lambda c: c.set_config("x"), "POST", "/control/config", {"text": "x"}),
    (lambda c: c.shutdown(), "POST", "/control/shutdown", None),
]


@pytest.mark.parametrize(("call", "method", "path", "body"), CALLS)
def test_call_reaches_its_route_when_made(engine, client, call, method, path, body):
    call(client)
    (request,) = engine.requests
    assert (request.method, request.path) == (method, path)
    assert (json.loads(request.body) if request.body else None) == body
    assert request.headers["Authorization"] == "Bearer secret"


def test_set_label_returns_the_version_before_when_it_moved(engine, client):
    engine.answer({"previous": 1})
    assert client.set_label("m", "production", 2) == 1
    engine.answer({"previous": None})
    assert client.set_label("m", "production", 2) is None


def test_error_keeps_code_message_and_hint_when_the_engine_refuses(engine, client):
    engine.answer({"error": "no such folder", "code": "NOT_FOUND", "hint": "make it"}, 404)
    with pytest.raises(ServingError) as caught:
        client.open("/m")
    error = caught.value
    assert (error.code, error.message, error.hint) == (Code.NOT_FOUND, "no such folder", "make it")


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (400, b'{"error": "bad"}', Code.INVALID_ARGUMENT, "bad"),
        (404, b'{"error": "none"}', Code.NOT_FOUND, "none"),
        (429, b'{"error": "full"}', Code.RESOURCE_EXHAUSTED, "full"),
        (502, b"<html>", Code.UNKNOWN, "The engine answered with HTTP status 502."),
        (400, b"", Code.INVALID_ARGUMENT, "The engine answered with HTTP status 400."),
        (500, b"[1]", Code.INTERNAL, "The engine answered with HTTP status 500."),
    ],
)
def test_error_follows_the_status_when_the_body_names_no_code(status, body, code, message):
    error = error_of(status, body)
    assert (error.code, error.message) == (code, message)


def test_client_says_unavailable_when_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = ControlClient(f"http://127.0.0.1:{unused.getsockname()[1]}", "t")
        with pytest.raises(ServingError) as caught:
            client.state()
        client.close()
    assert caught.value.code is Code.UNAVAILABLE
    assert "%tfserve start" in caught.value.hint


def test_client_says_deadline_exceeded_when_the_engine_is_silent():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = ControlClient(f"http://127.0.0.1:{silent.getsockname()[1]}", "t")
        with pytest.raises(ServingError) as caught:
            client.state(timeout_s=0.1)
        client.close()
    assert caught.value.code is Code.DEADLINE_EXCEEDED


def test_token_stays_away_from_proxies_when_the_environment_names_one(engine, monkeypatch):
    with serve_stand_in() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        client = ControlClient(engine.url, "secret")
        engine.answer(STATE)
        client.state()
        client.close()
        assert proxy.requests == []
    assert len(engine.requests) == 1


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (ModelSpec("m"), "/v1/models/m:predict"),
        (ModelSpec("a/b:c"), "/v1/models/a%2Fb%3Ac:predict"),
        (ModelSpec("m", version=3), "/v1/models/m/versions/3:predict"),
        (ModelSpec("m", label="ä"), "/v1/models/m/labels/%C3%A4:predict"),
    ],
)
def test_predict_path_is_tensorflow_servings_when_quoted(spec, path):
    assert predict_path(spec) == path


def test_predict_sends_arrays_and_returns_the_outputs_dtype_when_the_signature_is_known(engine, client):
    engine.answer(b'{"predictions": [[2.5], [3.0]]}')
    signature = Signature("", {}, {"y": TensorSpec("", "float", (-1, 1))})
    spec = ModelSpec("m", signature_name="other")
    answer = client.predict(spec, {"instances": np.array([[1.0], [2.0]], np.float32)}, signature)
    assert answer.dtype == np.float32
    np.testing.assert_array_equal(answer, [[2.5], [3.0]])
    assert json.loads(engine.requests[0].body) == {"signature_name": "other", "instances": [[1.0], [2.0]]}


def test_signatures_are_values_when_the_rank_is_unknown(engine, client):
    inputs = {"x": {"dtype": "float", "shape": None}}
    outputs = {"y": {"dtype": "string", "shape": [-1, 2]}}
    engine.answer(
        {"version": 4, "signatures": {"s": {"method_name": "p", "inputs": inputs, "outputs": outputs}}}
    )
    version, signatures = client.signatures("m", 4)
    assert version == 4
    assert signatures["s"].inputs["x"].shape is None
    assert signatures["s"].outputs["y"] == TensorSpec("", "string", (-1, 2))
    assert engine.requests[0].path == "/control/models/m/signatures?version=4"


def test_wait_asks_for_the_version_when_given_a_time(engine, client):
    engine.answer({"version": 2, "state": "AVAILABLE", "error_code": "OK", "error_message": "", "pid": 5})
    assert client.wait("m", 2, 1.5) == VersionState(2, "AVAILABLE", pid=5)
    assert engine.requests[0].path == "/control/models/m/versions/2/wait?timeout_s=1.5"
