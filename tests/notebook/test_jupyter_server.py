"""The kernel's Jupyter server: found by its process id, asked over real HTTP."""

from __future__ import annotations

import json

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.jupyter_server import ExtensionMissing, JupyterServer, find_jupyter_server
from tests.notebook.http_stand_in import serve_stand_in


@pytest.fixture
def jupyter():
    with serve_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def server(jupyter):
    return JupyterServer(1, f"{jupyter.url}/user/me/", "hush")


def write_runtime_file(folder, document, pid=42):
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / f"jpserver-{pid}.json").write_text(text)


def test_server_is_found_when_it_started_this_kernel(tmp_path):
    write_runtime_file(tmp_path, {"url": "http://localhost:8888/user/me", "token": "t"})
    server = find_jupyter_server({"JPY_PARENT_PID": "42"}, tmp_path)
    assert server == JupyterServer(42, "http://localhost:8888/user/me/", "t")
    assert "t'" not in repr(server)


def test_hubs_token_is_used_when_the_server_has_none(tmp_path):
    write_runtime_file(tmp_path, {"url": "http://localhost:8888/", "token": ""})
    server = find_jupyter_server({"JPY_PARENT_PID": "42", "JUPYTERHUB_API_TOKEN": "hub"}, tmp_path)
    assert server.token == "hub"


@pytest.mark.parametrize("document", ["", "[]", "{}", {"token": "t"}])
def test_no_server_is_found_when_its_file_is_broken(tmp_path, document):
    write_runtime_file(tmp_path, document)
    assert find_jupyter_server({"JPY_PARENT_PID": "42"}, tmp_path) is None


@pytest.mark.parametrize(
    "environment", [{}, {"JPY_PARENT_PID": ""}, {"JPY_PARENT_PID": "../x"}, {"JPY_PARENT_PID": "7"}]
)
def test_no_server_is_found_when_none_started_this_kernel(tmp_path, environment):
    write_runtime_file(tmp_path, {"url": "http://localhost:8888/", "token": "t"})
    assert find_jupyter_server(environment, tmp_path) is None


def test_engine_is_started_with_the_token_when_asked(jupyter, server):
    jupyter.answer({"name": "default", "connection_file": "/x"}, 201)
    assert server.start_engine({"rest_port": 9})["connection_file"] == "/x"
    (request,) = jupyter.requests
    assert (request.method, request.path) == ("POST", "/user/me/jupyter-tfserve/api/engines")
    assert request.headers["Authorization"] == "token hush"
    assert json.loads(request.body) == {"rest_port": 9}


def test_engines_are_listed_when_the_extension_answers(jupyter, server):
    jupyter.answer({"api_level": 1, "engines": [{"name": "default"}]})
    assert server.engines() == [{"name": "default"}]


def test_engine_is_stopped_when_the_answer_is_empty(jupyter, server):
    jupyter.answer(b"", 204)
    server.stop_engine("default")
    assert (jupyter.requests[0].method, jupyter.requests[0].path.rpartition("/")[2]) == ("DELETE", "default")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b"<html>404</html>", "not installed"),
        (404, b'{"message": "Not Found"}', "not installed"),
        (403, b'{"message": "Forbidden"}', "does not let this kernel in"),
        (302, b"", "does not let this kernel in"),
    ],
)
def test_reason_is_given_when_there_is_no_extension_to_ask(jupyter, server, status, body, reason):
    jupyter.answer(body, status)
    with pytest.raises(ExtensionMissing, match=reason):
        server.engines()
    assert len(jupyter.requests) == 1


def test_reason_is_given_when_the_server_is_gone(jupyter):
    gone = JupyterServer(1, "http://127.0.0.1:9/", "t")
    with pytest.raises(ExtensionMissing, match="does not answer"):
        gone.engines()


def test_extensions_error_is_kept_when_the_engine_does_not_start(jupyter, server):
    jupyter.answer({"error": "port 9 is taken", "code": "UNAVAILABLE", "hint": "Name another"}, 503)
    with pytest.raises(ServingError) as caught:
        server.start_engine({})
    assert (caught.value.code, caught.value.hint) == (Code.UNAVAILABLE, "Name another")


def test_extensions_not_found_is_no_missing_extension_when_it_carries_a_code(jupyter, server):
    jupyter.answer({"error": "no engine", "code": "NOT_FOUND", "hint": None}, 404)
    with pytest.raises(ServingError) as caught:
        server.stop_engine("default")
    assert caught.value.code is Code.NOT_FOUND
