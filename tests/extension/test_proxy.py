"""The data plane through Jupyter: passes to our engine unchanged, and never anything or anyone else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from jupyter_tfserve.engine.connection import read_connection
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.extension.proxy import RESPONSE_HEADERS, data_plane_target


def test_target_keeps_the_path_and_drops_private_arguments():
    assert data_plane_target("models/m/versions/1:predict", "") == "/v1/models/m/versions/1:predict"
    assert data_plane_target("models/a%20b", "x=1&token=secret&_xsrf=y&e=") == "/v1/models/a%20b?x=1&e="


@pytest.mark.parametrize(
    "path",
    ["", "../control/state", "a/../b", "%2e%2e/control/state", "a/%2E%2E", ".", "/evil.test/", "a//b"],
)
def test_target_refuses_a_path_that_leaves_the_data_plane(path):
    with pytest.raises(ServingError):
        data_plane_target(path, "")


@pytest.mark.parametrize("path", ["a b", "a\r\nb", "a#b", "a\\b", "a?b", "é", "a\0", "a\n"])
def test_target_refuses_a_character_that_no_path_holds(path):
    with pytest.raises(ServingError):
        data_plane_target(path, "")


async def test_predict_passes_with_our_token_and_none_of_the_clients(api, running):
    secrets = {"Cookie": "a=b", "X-XSRFToken": "c", "X-Custom": "d", "Content-Type": "text/x"}
    response = await api("POST", "v1/models/m:predict", b'{"instances": []}', headers=secrets)
    assert response.code == 200
    seen = json.loads(response.body)
    token = read_connection(Path(running["connection_file"])).token
    assert (seen["method"], seen["path"]) == ("POST", "/v1/models/m:predict")
    assert seen["body"] == '{"instances": []}'
    assert seen["headers"]["authorization"] == f"Bearer {token}"
    assert seen["headers"]["content-type"] == "text/x"
    assert not {"cookie", "x-xsrftoken", "x-custom"} & set(seen["headers"])


async def test_jupyter_token_in_the_url_is_not_passed_on(api, running, jp_serverapp):
    token = jp_serverapp.identity_provider.token
    response = await api(
        "GET", "v1/models/m", params={"token": token, "x": "1"}, headers={"Authorization": ""}
    )
    assert response.code == 200
    assert json.loads(response.body)["path"] == "/v1/models/m?x=1"
    assert token.encode() not in response.body


@pytest.mark.parametrize("status", [200, 400, 404, 429, 499, 500, 503, 504])
async def test_status_and_body_pass_unchanged(api, running, status):
    response = await api("POST", f"v1/status/{status}", b"{}")
    assert response.code == status
    assert json.loads(response.body) == {"error": "as asked"}
    assert response.headers["Retry-After"] == "7"


async def test_only_listed_headers_come_back(api, running):
    response = await api("GET", "v1/page")
    assert response.body == b"<script>"
    assert response.headers["Content-Type"] == "text/html"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "a=b" not in response.headers.get_list("Set-Cookie")
    assert "Location" not in response.headers


async def test_types_and_encodings_pass_both_ways(api, running):
    asked = {"Content-Type": "application/x-npy", "Accept": "application/x-npz", "Accept-Encoding": "gzip"}
    response = await api("POST", "v1/models/m:predict", b"x", headers=asked)
    seen = json.loads(response.body)["headers"]
    assert {name: seen[name.lower()] for name in asked} == asked
    assert {"Content-Type", "Content-Encoding", "Vary"} <= set(RESPONSE_HEADERS)


async def test_redirect_is_not_followed_nor_passed(api, running):
    response = await api("GET", "v1/redirect", follow_redirects=False)
    assert response.code == 502
    assert "Location" not in response.headers
    assert b"models" not in response.body


async def test_large_body_passes_whole(api, running):
    response = await api("POST", "v1/models/m:predict", b"x" * 20_000_000)
    assert json.loads(response.body)["size"] == 20_000_000


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
async def test_upgrade_is_refused(api, running, upgrade):
    response = await api("GET", "v1/models/m", headers={"Upgrade": upgrade, "Connection": "Upgrade"})
    assert response.code == 400
    assert "Upgrade" in json.loads(response.body)["error"]


async def test_nothing_runs_gives_the_next_step(api):
    response = await api("POST", "v1/models/m:predict", b"{}")
    error = json.loads(response.body)
    assert (response.code, error["code"]) == (503, "UNAVAILABLE")
    assert "%tfserve start" in error["hint"]


async def test_engine_that_hangs_up_gives_unavailable(api, running):
    response = await api("GET", "v1/drop")
    assert (response.code, json.loads(response.body)["code"]) == (503, "UNAVAILABLE")


@pytest.mark.parametrize("extension_config", [{"proxy_timeout_s": 0.2}])
async def test_engine_that_never_answers_gives_deadline_exceeded(api, running, extension_config):
    response = await api("GET", "v1/silence")
    assert (response.code, json.loads(response.body)["code"]) == (504, "DEADLINE_EXCEEDED")


class RawClient:
    """Bytes to the Jupyter server and back, with the token."""

    def __init__(self, reader, writer, base_url, token):
        self.reader, self.writer, self.base_url, self.token = reader, writer, base_url, token

    def send_head(self, line, *headers):
        method, path = line.split(" ", 1)
        head = [f"{method} {path.replace('BASE/', self.base_url)} HTTP/1.1", "Host: localhost"]
        head += [f"Authorization: token {self.token}", *headers]
        self.writer.write("\r\n".join(head).encode() + b"\r\n\r\n")

    def send_chunk(self, content):
        self.writer.write(b"%x\r\n%s\r\n" % (len(content), content))

    async def head(self):
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        return int(lines[0].split()[1]), headers

    async def json(self):
        status, headers = await self.head()
        return status, json.loads(await self.reader.readexactly(int(headers["content-length"])))


@pytest.fixture
async def raw(http_server, http_server_port, jp_serverapp, jp_base_url):
    reader, writer = await asyncio.open_connection("127.0.0.1", http_server_port[1])
    yield RawClient(reader, writer, jp_base_url, jp_serverapp.identity_provider.token)
    writer.close()


async def test_bodies_stream_both_ways(raw, running):
    """The engine's answer to a chunk arrives before the next chunk is sent."""
    raw.send_head("POST BASE/jupyter-tfserve/v1/stream", "Transfer-Encoding: chunked")
    for content in (b"one", b"two", b"x" * 100_000):
        raw.send_chunk(content)
        if content == b"one":
            status, headers = await raw.head()
            assert (status, headers["transfer-encoding"]) == (200, "chunked")
        received = b""
        while len(received) < len(content):
            size = int(await raw.reader.readline(), 16)
            received += await raw.reader.readexactly(size)
            await raw.reader.readline()
        assert received == content
    raw.writer.write(b"0\r\n\r\n")
    assert await raw.reader.readline() == b"0\r\n"


async def test_answer_that_breaks_off_does_not_look_whole(raw, running):
    raw.send_head("GET BASE/jupyter-tfserve/v1/cut")
    status, headers = await raw.head()
    assert (status, headers["content-length"]) == (200, "100")
    assert await raw.reader.read() == b"only this"


@pytest.mark.parametrize("extension_config", [{"max_body_bytes": 1000}])
class TestBodyLimit:
    async def test_announced_body_is_refused_before_it_is_sent(self, raw, running, extension_config):
        raw.send_head("POST BASE/jupyter-tfserve/v1/models/m:predict", "Content-Length: 1001")
        status, error = await raw.json()
        assert (status, error["code"]) == (413, "RESOURCE_EXHAUSTED")
        assert error["error"] == "the body is larger than 1000 bytes (c.TFServe.max_body_bytes)"

    async def test_absurd_length_is_refused(self, raw, running, extension_config):
        raw.send_head("POST BASE/jupyter-tfserve/v1/models/m:predict", f"Content-Length: {'9' * 30}")
        status, _ = await raw.json()
        assert status == 413

    async def test_chunked_body_is_refused_when_it_grows_too_large(self, raw, running, extension_config):
        raw.send_head("POST BASE/jupyter-tfserve/v1/models/m:predict", "Transfer-Encoding: chunked")
        for _ in range(20):
            raw.send_chunk(b"x" * 100)
        status, error = await raw.json()
        assert (status, error["code"]) == (413, "RESOURCE_EXHAUSTED")

    async def test_body_at_the_limit_passes(self, raw, running, extension_config):
        raw.send_head("POST BASE/jupyter-tfserve/v1/models/m:predict", "Content-Length: 1000")
        raw.writer.write(b"x" * 1000)
        status, seen = await raw.json()
        assert (status, seen["size"]) == (200, 1000)


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("GET BASE/jupyter-tfserve/v1//evil.test/", ()),
        ("GET BASE/jupyter-tfserve/v1/../control/state", ()),
        ("GET BASE/jupyter-tfserve/v1/%2e%2e/control/state", ()),
        ("GET BASE/jupyter-tfserve/v1/a#b", ()),
        ("GET http://evil.test/jupyter-tfserve/v1/models/m", ()),
        ("GET //evil.test/jupyter-tfserve/v1/models/m", ()),
        (
            "POST BASE/jupyter-tfserve/v1/models/m:predict",
            ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ),
        ("POST BASE/jupyter-tfserve/v1/models/m:predict", ("Content-Length: 2", "Content-Length: 3")),
        ("POST BASE/jupyter-tfserve/v1/models/m:predict", ("Content-Length: -1",)),
        ("POST BASE/jupyter-tfserve/v1/models/m:predict", ("Transfer-Encoding: gzip",)),
    ],
)
async def test_hostile_request_reaches_no_engine(raw, running, monkeypatch, line, headers):
    raw.send_head(line, *headers)
    status, _ = await raw.head()
    assert 400 <= status < 500


async def test_client_that_leaves_ends_the_request_to_the_engine(raw, running, engines):
    raw.send_head("GET BASE/jupyter-tfserve/v1/silence")
    await until(lambda: engines._requests == 1)
    assert engines.is_active()
    raw.writer.close()
    await until(lambda: engines._requests == 0)


async def test_client_that_leaves_during_its_upload_ends_the_request(raw, running, engines):
    raw.send_head("POST BASE/jupyter-tfserve/v1/models/m:predict", "Content-Length: 1000000")
    raw.writer.write(b"x" * 10)
    await until(lambda: engines._requests == 1)
    raw.writer.close()
    await until(lambda: engines._requests == 0)


async def test_activity_ends_some_time_after_the_last_request(api, running, engines, jp_serverapp):
    assert not engines.is_active()
    await api("GET", "v1/models/m")
    (extension,) = jp_serverapp.extension_manager.extension_apps["jupyter_tfserve"]
    assert extension.current_activity()
    await until(lambda: engines._requests == 0)
    engines._last_request -= 301
    assert extension.current_activity() is None


async def until(condition, timeout_s=120.0):
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition did not come true"
        await asyncio.sleep(0.01)
