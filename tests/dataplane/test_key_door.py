"""REST behind keys, over a real socket: who is refused by the head alone, who by the target, and who is let in."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest

from jupyter_tfserve.dataplane.auth import KeyRing
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.http_server import HttpServer
from jupyter_tfserve.dataplane.key_door import KeyDoor
from jupyter_tfserve.lifecycle.keys import new_key
from jupyter_tfserve.lifecycle.limits import FlowLimits
from jupyter_tfserve.options import LimitOptions

PREDICT = "/v1/models/m:predict"
PUBLIC = [("GET", "/healthz"), ("HEAD", "/readyz"), ("GET", "/readyz?x=1"), ("OPTIONS", PREDICT)]
ONE_MODEL = [
    ("POST", PREDICT),
    ("POST", "/V1/models/m/versions/1:classify"),
    ("POST", "/v1/models/%6d/labels/l:regress"),
    ("GET", "/v1/models/m"),
    ("HEAD", "/v1/models/m/metadata"),
    ("GET", "/v1/models/m/openapi.json"),
]
FOR_ALL = [
    ("GET", "/v1/models"),
    ("GET", "/monitoring/prometheus/metrics"),
    ("GET", "/"),
    ("POST", "/control/keys"),
    ("GET", "/healthz/more"),
]
ODD = [("POST", "/v1/nowhere"), ("PUT", PREDICT)]


@contextlib.asynccontextmanager
async def served(required: bool, *keys, limits: LimitOptions | None = None):
    """A client of a server that answers everybody whom its door lets in, and the door's ring."""

    async def answer(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, request.target.encode())

    ring = KeyRing(required)
    ring.configure(keys)
    server, door = HttpServer(answer, limits or LimitOptions()), KeyDoor(ring, answer)
    server.put_before(door.handle, door.refusal_of_head)
    port = await server.start("127.0.0.1", 0)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client, ring
    finally:
        await server.stop(1)


def make_key(*models: str, **limits):
    return new_key(models, "", 0.0, None, FlowLimits(**limits))


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def test_only_the_listed_doors_are_open_to_strangers():
    """S2: the public ones are `PUBLIC`, and no other."""
    async with served(True) as (client, _):
        for method, target in PUBLIC:
            assert (await client.request(method, target)).status_code == 200, target
        for method, target in ONE_MODEL + FOR_ALL + ODD:
            for extra in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
                answer = await client.request(method, target, headers=extra)
                assert answer.status_code == 401, (method, target)
                assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_key_opens_its_model_and_nothing_else():
    text, kept = make_key("m")
    other, kept_other = make_key("other")
    async with served(True, kept, kept_other) as (client, _):
        for method, target in ONE_MODEL:
            assert (await client.request(method, target, headers=bearer(text))).status_code == 200, target
            refused = await client.request(method, target, headers=bearer(other))
            assert refused.status_code == 403, target
        for method, target in FOR_ALL:
            assert (await client.request(method, target, headers=bearer(text))).status_code == 403, target
        for method, target in ODD:
            assert (await client.request(method, target, headers=bearer(text))).status_code == 400, target


async def test_key_for_all_opens_everything_here():
    text, kept = make_key("*")
    async with served(True, kept) as (client, _):
        for method, target in PUBLIC + ONE_MODEL + FOR_ALL:
            assert (await client.request(method, target, headers=bearer(text))).status_code == 200, target


async def test_stranger_costs_no_body():
    async with served(True) as (client, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(
            f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".encode()
        )
        # Nothing of the body was sent, and the answer is there.
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
        writer.close()


async def test_revoked_key_is_refused_on_the_open_connection():
    text, kept = make_key("m")
    async with served(True, kept) as (client, ring):
        before = await client.post(PREDICT, headers=bearer(text))
        ring.configure([])
        after = await client.post(PREDICT, headers=bearer(text))
        assert (before.status_code, after.status_code) == (200, 401)
        assert after.json()["error"] == "This key is unknown, or it was revoked"
        assert text not in after.text


async def test_key_over_its_rate_is_told_when_to_come_back():
    text, kept = make_key("m", requests_per_second=0.01)
    async with served(True, kept) as (client, _):
        assert (await client.post(PREDICT, headers=bearer(text))).status_code == 200
        refused = await client.post(PREDICT, headers=bearer(text))
        assert refused.status_code == 429
        assert 90 <= int(refused.headers["Retry-After"]) <= 100


async def test_keys_count_where_they_are_shown_even_if_none_is_needed():
    text, kept = make_key("m")
    other, _ = make_key("m")
    async with served(False, kept) as (client, _):
        assert (await client.post(PREDICT)).status_code == 200
        assert (await client.post(PREDICT, headers={"Authorization": "Bearer foreign"})).status_code == 200
        assert (await client.post(PREDICT, headers=bearer(text))).status_code == 200
        assert (await client.post("/v1/models/n:predict", headers=bearer(text))).status_code == 403
        assert (await client.post(PREDICT, headers=bearer(other))).status_code == 401


@pytest.mark.parametrize("token", [b"\xff\xfe", "é".encode(), b"x" * 60_000, b"tfserve_" + b"x" * 60_000])
async def test_odd_tokens_are_refused_and_nothing_more(token):
    async with served(True) as (client, _):
        answer = await client.post(PREDICT, headers={b"Authorization": b"Bearer " + token})
        assert answer.status_code == 401


async def test_token_of_a_megabyte_is_a_header_that_is_too_large():
    async with served(True) as (client, _):
        answer = await client.post(PREDICT, headers={"Authorization": "Bearer " + "x" * 2**20})
        assert answer.status_code == 431
