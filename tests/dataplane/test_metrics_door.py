"""metrics_door: the page at its path, everything else untouched."""

from __future__ import annotations

import pytest

from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.metrics_door import with_metrics

PATH = "/monitoring/prometheus/metrics"


async def ask(target: str, method: str = "GET", path: str = PATH) -> HttpResponse:
    async def other(request: HttpRequest) -> HttpResponse:
        return HttpResponse(404, request.target.encode())

    handler = with_metrics(path, lambda: b"page\n", other)
    return await handler(HttpRequest(method, target, {}, b""))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_page_is_answered_whatever_the_verb(method):
    answer = await ask(PATH, method)
    assert (answer.status, answer.body, answer.content_type) == (200, b"page\n", "text/plain")


async def test_query_is_refused_in_upstreams_words():
    answer = await ask(f"{PATH}?a=b")
    assert answer.status == 400
    assert answer.body.decode() == f"Unexpected path: {PATH}?a=b. Should be {PATH}"
    assert answer.content_type == "text/plain"


@pytest.mark.parametrize("target", ["/", "/v1/models", f"{PATH}/x", f"{PATH}x", PATH[:-1]])
async def test_everything_else_goes_to_the_handler(target):
    answer = await ask(target)
    assert (answer.status, answer.body.decode()) == (404, target)


async def test_page_comes_first_when_its_path_is_the_apis():
    assert (await ask("/v1/metrics", path="/v1/metrics")).body == b"page\n"
