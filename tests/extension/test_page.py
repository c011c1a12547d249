"""The page for people without JupyterLab: its files, their headers, and the programs that it shows."""

from __future__ import annotations

import json
import re

import pytest

from jupyter_tfserve.engine.control_call import Reply
from jupyter_tfserve.extension.grpc_program import grpc_program, parse_target
from jupyter_tfserve.extension.handlers.page import FILES, MAX_BODY_BYTES


async def test_page_names_only_files_that_are_there(api):
    page = await api("GET", "")
    assert page.code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert {name for name in named if name != "data:,"} == {f"static/{name}" for name in FILES}
    for name, content_type in FILES.items():
        file = await api("GET", f"static/{name}")
        assert (file.code, file.headers["Content-Type"]) == (200, content_type)


async def test_page_runs_nothing_that_is_not_its_own_file(api):
    for path in ("", "static/page.js"):
        answer = await api("GET", path)
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'self'" in policy
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = (await api("GET", "")).body.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style| on[a-z]+=| style=", page)


async def test_page_has_its_slash_when_opened_without(api, jp_base_url):
    api.root = api.root.rstrip("/")
    answer = await api("GET", "", follow_redirects=False)
    # Relative: a proxy's prefix is not ours to know.
    assert (answer.code, answer.headers["Location"]) == (302, "jupyter-tfserve/")


async def test_page_brings_the_cookie_that_posts_need(api):
    answer = await api("GET", "", headers={"Authorization": ""}, params={"token": token_of(api)})
    assert any(line.startswith("_xsrf=") for line in answer.headers.get_list("Set-Cookie"))


def token_of(api):
    return api.token_header["Authorization"].split()[-1]


@pytest.mark.parametrize("path", ["static/", "static/page.py", "static/../app.py", "static/%2e%2e/app.py"])
async def test_no_other_file_is_given(api, path):
    assert (await api("GET", path)).code == 404


async def test_programs_send_the_document_with_a_token_from_the_environment(api):
    asked = {
        "url": "https://hub/user/ann/jupyter-tfserve/v1/models/m:predict",
        "body": '{"instances": ["<b>\'", 1.0]}',
        "needs_token": True,
    }
    answer = await api("POST", "api/snippets", asked)
    assert answer.code == 200, answer.body
    programs = {one["language"]: one["text"] for one in json.loads(answer.body)["programs"]}
    assert set(programs) == {"bash", "cmd", "powershell", "python", "node"}
    for text in programs.values():
        assert asked["url"] in text
        assert "JUPYTER_TOKEN" in text
        assert "1.0" in text or "node" in text
        assert token_of(api) not in text


class OneEngine:
    """An engine as the handler sees it: where its gRPC port is, and its signatures."""

    def __init__(self, grpc_address="127.0.0.1:8500"):
        self.grpc_address = grpc_address
        self.asked = []

    def connection(self, name):
        return self

    async def call(self, name, method, path, body, timeout_s):
        self.asked.append(path)
        tensor = {"dtype": "float", "shape": [-1, 1]}
        signature = {"method_name": "", "inputs": {"x": tensor}, "outputs": {"y": tensor}}
        return Reply(200, json.dumps({"version": 2, "signatures": {"serving_default": signature}}).encode())


async def test_grpc_program_has_the_signatures_types_when_the_document_fits():
    engine, target = OneEngine(), parse_target({"model": "a b", "label": "production", "version": 2})
    text = await grpc_program(engine, target, {"instances": [[1.0], [2.0]]})
    assert engine.asked == ["/control/models/a%20b/signatures?version=2"]
    assert "request.model_spec.version_label = 'production'" in text
    assert "version.value" not in text
    assert "tf.make_tensor_proto([[1.0], [2.0]], 'float32')" in text
    for document in (
        {},
        {"instances": 3},
        {"instances": [{"z": 1}]},
        {"inputs": {"x": 1}, "signature_name": "n"},
    ):
        assert await grpc_program(engine, target, document) == ""
    assert await grpc_program(OneEngine(""), target, {"instances": [[1.0]]}) == ""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"body": "{}"}, 400),
        ({"url": "javascript:alert(1)", "body": "{}"}, 400),
        ({"url": "http://h/" + "a" * 5000, "body": "{}"}, 400),
        ({"url": "http://h", "body": {}}, 400),
        ({"url": "http://h", "body": "[]"}, 400),
        ({"url": "http://h", "body": "{"}, 400),
        ({"url": "http://h", "body": '{"instances": [NaN]}'}, 400),
        ({"url": "http://h", "body": "[" * 100_000}, 400),
        ({"url": "http://h", "body": "{}", "needs_token": "yes"}, 400),
        ({"url": "http://h", "body": "b" * MAX_BODY_BYTES}, 429),
        ({"url": "http://h", "body": "{}", "grpc": "m"}, 400),
        ({"url": "http://h", "body": "{}", "grpc": {"model": "m", "version": True}}, 400),
    ],
)
async def test_programs_are_refused_when_the_request_is_none(api, body, status):
    answer = await api("POST", "api/snippets", body)
    assert answer.code == status
    assert json.loads(answer.body)["error"]
