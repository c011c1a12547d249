"""Predictions that are begun without a coroutine: what they leave to the handler, and how each of them ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from unittest import mock

import pytest

from jupyter_tfserve.codec.gzip_answer import MIN_BYTES
from jupyter_tfserve.dataplane import rest_predict
from jupyter_tfserve.dataplane.admission import ModelFlows
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.metrics import RequestMetrics
from jupyter_tfserve.dataplane.predict import Ongoing
from jupyter_tfserve.errors import Code, Overloaded, ServingError

ONE = b'{"instances": [2.0]}'
MANY = json.dumps({"instances": [0.1 * n for n in range(MIN_BYTES)]}).encode()


def predict(
    body: bytes = ONE, target: str = "m:predict", method: str = "POST", **headers: str
) -> HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(method, f"/v1/models/{target}", named, body)


def counted(metrics: RequestMetrics) -> dict[str, int]:
    """Requests by status."""
    found = {"OK": sum(sum(latency.counts) for _, _, latency, _ in metrics.answered())}
    for (_, status), count in metrics.failures.items().items():
        found[status] = found.get(status, 0) + count
    return {status: count for status, count in found.items() if count}


async def test_prediction_is_answered_without_its_handler(serving_rest) -> None:
    metrics = RequestMetrics("REST")
    async with serving_rest(metrics=metrics) as rest:
        response = await rest.begin(predict())
        (waiter,) = rest.models.begun
        traffic = rest.core.serving_map.models["m"].versions[2].loader.traffic
        assert rest.core.serving_map.models["m"].versions[2].in_flight == 0
    assert response == HttpResponse(200, b'{\n    "predictions": [3.0\n    ]\n}')
    assert waiter.done()
    assert counted(metrics) == {"OK": 1}
    assert (sum(traffic.counts), traffic.errors) == (1, 0)


@pytest.mark.parametrize(
    "request_",
    [
        predict(method="GET"),
        predict(target="m:classify"),
        predict(target="m"),
        predict(target="m:predictä"),
        predict(target="no:predict"),
        predict(target="m/versions/7:predict"),
        predict(b"{"),
        predict(b'{"instances": ["text"]}'),
        predict(b'{"signature_name": "no", "instances": [1.0]}'),
        predict(content_type="application/x-protobuf"),
        predict(accept="application/x-npy"),
        predict(content_encoding="gzip"),
        predict(x_tfserve_timing="1"),
        predict(b'{"instances": [' + b"1.0," * 2**16 + b"1.0]}"),
    ],
)
async def test_request_is_left_to_the_handler_when_it_is_no_plain_prediction(
    serving_rest, request_: HttpRequest
) -> None:
    metrics = RequestMetrics("REST")
    async with serving_rest(metrics=metrics) as rest:
        assert await rest.begin(request_) is None
        served = rest.core.serving_map.models["m"].versions[2]
        assert (served.in_flight, served.loader.traffic.errors, rest.models.begun) == (0, 0, [])
    assert counted(metrics) == {}


async def test_request_is_left_to_the_handler_when_requests_are_limited_or_logged(serving_rest) -> None:
    async with serving_rest() as rest:
        rest.plane.flows = ModelFlows()
        assert await rest.begin(predict()) is None
        rest.plane.flows, rest.plane.request_log = None, mock.Mock()
        assert await rest.begin(predict()) is None


async def test_error_is_explained_when_the_model_refuses_what_was_begun(serving_rest) -> None:
    metrics = RequestMetrics("REST")
    async with serving_rest(metrics=metrics) as rest:
        rest.models.error = ServingError(Code.INVALID_ARGUMENT, "it broke")
        response = await rest.begin(predict(b'{"signature_name": "fails", "instances": [1.0]}'))
        served = rest.core.serving_map.models["m"].versions[2]
        assert (served.in_flight, served.loader.traffic.errors) == (0, 1)
    assert response is not None
    assert (response.status, json.loads(response.body)["error"]) == (400, "it broke")
    assert counted(metrics) == {"INVALID_ARGUMENT": 1}


async def test_caller_is_told_when_the_queue_refuses(serving_rest) -> None:
    async with serving_rest() as rest:
        rest.models.refusal = Overloaded(Code.UNAVAILABLE, "full", 3.2)
        response = await rest.begin(predict())
        served = rest.core.serving_map.models["m"].versions[2]
        assert (served.in_flight, served.loader.traffic.errors) == (0, 1)
    assert response is not None
    assert (response.status, response.headers["Retry-After"]) == (503, "4")


async def test_cancelled_prediction_leaves_its_queue_and_is_counted(serving_rest) -> None:
    metrics, replied = RequestMetrics("REST"), mock.Mock()
    async with serving_rest(metrics=metrics) as rest:
        begun = rest.api.begin(predict(), replied)
        (waiter,) = rest.models.begun
        assert not waiter.done()
        begun.cancel()
        assert waiter.done()
        begun.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        served = rest.core.serving_map.models["m"].versions[2]
        assert (served.in_flight, served.loader.traffic.errors) == (0, 1)
    assert counted(metrics) == {"CANCELLED": 1}
    replied.assert_not_called()


@pytest.mark.parametrize(("accepted", "is_compressed"), [("gzip, deflate", True), ("identity", False)])
async def test_large_answer_is_compressed_when_asked_for(
    serving_rest, accepted: str, is_compressed: bool
) -> None:
    async with serving_rest() as rest:
        response = await rest.begin(predict(MANY, accept_encoding=accepted))
        assert response == await rest.api.handle(predict(MANY, accept_encoding=accepted))
    assert response is not None
    assert ("Content-Encoding" in response.headers) is is_compressed


@pytest.mark.parametrize("place", ["bind_predict", "encode_predict"])
async def test_version_is_let_go_when_something_fails_unexpectedly(serving_rest, place: str) -> None:
    metrics = RequestMetrics("REST")
    async with serving_rest(metrics=metrics) as rest:
        broken = mock.patch.object(rest_predict, place, side_effect=ZeroDivisionError)
        with contextlib.suppress(ZeroDivisionError), broken:
            await rest.begin(predict())
        rest.models.refusal = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            await rest.begin(predict())
        assert rest.core.serving_map.models["m"].versions[2].in_flight == 0
    assert counted(metrics) == {"INTERNAL": 2}


async def test_large_answer_is_printed_in_a_thread_and_its_caller_may_leave(serving_rest) -> None:
    metrics, replied = RequestMetrics("REST"), mock.Mock()
    async with serving_rest(metrics=metrics) as rest:
        with mock.patch.object(rest_predict, "NUMBERS_ON_LOOP", 2):
            assert await rest.begin(predict(MANY)) == await rest.api.handle(predict(MANY))
            begun = rest.api.begin(predict(MANY), replied)
            await asyncio.sleep(0)  # the model answers
            begun.cancel()
        assert rest.core.serving_map.models["m"].versions[2].in_flight == 0
    assert counted(metrics)["OK"] == 2
    replied.assert_not_called()


async def test_answer_is_500_when_encoding_fails_unexpectedly(serving_rest, caplog) -> None:
    metrics = RequestMetrics("REST")
    async with serving_rest(metrics=metrics) as rest:
        with mock.patch.object(rest_predict, "encode_predict", side_effect=ZeroDivisionError):
            response = await rest.begin(predict())
        assert rest.core.serving_map.models["m"].versions[2].in_flight == 0
    assert response is not None
    assert (response.status, counted(metrics)) == (500, {"INTERNAL": 1})
    assert b"ZeroDivision" not in response.body
    assert "ZeroDivisionError" in caplog.text


def ongoing() -> list[Ongoing]:
    return [each for each in gc.get_objects() if isinstance(each, Ongoing)]


async def test_nothing_is_left_to_the_garbage_collector_when_predictions_are_over(serving_rest) -> None:
    async with serving_rest() as rest:
        await rest.begin(predict())  # what is made once
        gc.collect()
        before = ongoing()  # what other tests keep
        gc.disable()
        try:
            for _ in range(50):
                await rest.begin(predict())
                begun = rest.api.begin(predict(), mock.Mock())
                begun.cancel()
            await asyncio.sleep(0)  # the model answers who has gone
            rest.models.begun.clear()
            del begun
            assert ongoing() == before
        finally:
            gc.enable()


@pytest.mark.fault
async def test_answer_is_500_when_no_thread_can_be_started_to_print_it(serving_rest, caplog) -> None:
    metrics, refused = RequestMetrics("REST"), RuntimeError("can't start new thread")
    async with serving_rest(metrics=metrics) as rest:
        loop = asyncio.get_running_loop()
        with (
            mock.patch.object(rest_predict, "NUMBERS_ON_LOOP", 2),
            mock.patch.object(loop, "run_in_executor", side_effect=refused),
        ):
            response = await asyncio.wait_for(rest.begin(predict(MANY)), 20)
        assert rest.core.serving_map.models["m"].versions[2].in_flight == 0
    assert response is not None
    assert (response.status, counted(metrics)) == (500, {"INTERNAL": 1})
    assert b"thread" not in response.body
    assert "can't start new thread" in caplog.text


@pytest.mark.fault
@pytest.mark.parametrize("place", ["compressed", "explained"])
async def test_answer_is_500_when_its_last_step_fails_unexpectedly(serving_rest, caplog, place: str) -> None:
    metrics = RequestMetrics("REST")
    async with serving_rest(metrics=metrics) as rest:
        rest.models.error = ServingError(Code.INVALID_ARGUMENT, "it broke")
        body = MANY if place == "compressed" else b'{"signature_name": "fails", "instances": [1.0]}'
        with mock.patch.object(rest_predict, place, side_effect=RuntimeError("can't start new thread")):
            response = await asyncio.wait_for(rest.begin(predict(body, accept_encoding="gzip")), 20)
    assert response is not None
    assert response.status == 500
    assert counted(metrics)["INTERNAL"] == 1
    assert "can't start new thread" in caplog.text


async def test_version_is_let_go_when_its_caller_cannot_be_told() -> None:
    asker, handle = mock.Mock(), mock.Mock()
    asker.answered.side_effect = ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        Ongoing(asker, handle, "serving_default").set_result({})
    handle.release.assert_called_once_with()
