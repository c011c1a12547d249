"""Predict over gRPC begun without a coroutine: what it leaves to the handler, and how each call ends."""

from __future__ import annotations

import asyncio
from unittest import mock

import numpy as np
import pytest

from jupyter_tfserve.codec.protos import PredictRequest, PredictResponse
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.dataplane import grpc_predictions
from jupyter_tfserve.dataplane.admission import ModelFlows
from jupyter_tfserve.dataplane.auth import KeyRing
from jupyter_tfserve.dataplane.grpc_predictions import TIMING_METADATA, Predictions
from jupyter_tfserve.dataplane.grpc_service import GrpcServices
from jupyter_tfserve.dataplane.metrics import RequestMetrics
from jupyter_tfserve.errors import Code, Overloaded, ServingError
from jupyter_tfserve.options import GrpcOptions, LimitOptions

PREDICT = "/tensorflow.serving.PredictionService/Predict"


def body(name="m", dtype="f4", signature="", alias="x", **spec):
    request = PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    encode_tensor(np.array([2.0], dtype), request.inputs[alias])
    return request.SerializeToString()


class StandInCall:
    """As much of a call as a prediction needs; `told` is what it was told."""

    def __init__(self, *metadata):
        self.metadata = metadata
        self.told = []
        self._over = asyncio.Event()

    async def is_over(self):
        await asyncio.wait_for(self._over.wait(), 30)

    def answer(self, told):
        self.told.append(told)
        self._over.set()

    fail_by = answer

    def invocation_metadata(self):
        return self.metadata

    def time_remaining(self):
        return None


def predictions(rest, metrics=None):
    plane = rest.plane
    return Predictions(plane, LimitOptions(), GrpcOptions(), metrics or RequestMetrics("GRPC"), plane)


def served(rest):
    return rest.core.serving_map.models["m"].versions[2]


def counted(metrics):
    """Requests by status."""
    found = {"OK": sum(sum(latency.counts) for _, _, latency, _ in metrics.answered())}
    for (_, status), count in metrics.failures.items().items():
        found[status] = found.get(status, 0) + count
    return {status: count for status, count in found.items() if count}


async def test_prediction_is_answered_as_its_handler_does(serving_rest):
    metrics = RequestMetrics("GRPC")
    async with serving_rest() as rest:
        ours, call = predictions(rest, metrics), StandInCall()
        assert ours.begin(body(), call) is not None
        assert call.told == []
        await call.is_over()
        assert (served(rest).in_flight, sum(served(rest).loader.traffic.counts)) == (0, 1)
        assert call.told == [await ours.predict(body(), call)]
    response = PredictResponse.FromString(call.told[0])
    assert list(response.outputs["y"].float_val) == [3.0]
    assert response.model_spec.version.value == 2
    assert counted(metrics) == {"OK": 2}


@pytest.mark.parametrize(
    "asked",
    [
        b"\xff",
        body(""),
        body("no"),
        body(version=7),
        body(signature="no"),
        body(dtype="f8"),
        body(alias="z"),
    ],
    ids=["no message", "no name", "no model", "no version", "no signature", "dtype", "alias"],
)
async def test_call_is_left_to_its_handler_when_it_is_wrong(serving_rest, asked):
    metrics = RequestMetrics("GRPC")
    async with serving_rest() as rest:
        assert predictions(rest, metrics).begin(asked, StandInCall()) is None
        assert (served(rest).in_flight, served(rest).loader.traffic.errors, rest.models.begun) == (0, 0, [])
        with pytest.raises(ServingError):
            await predictions(rest).predict(asked, StandInCall())
    assert counted(metrics) == {}


async def test_call_is_left_to_its_handler_when_more_than_an_answer_is_wanted(serving_rest):
    async with serving_rest() as rest:
        ours = predictions(rest)
        assert ours.begin(body(), StandInCall((TIMING_METADATA, "1"))) is None
        rest.plane.flows = ModelFlows()
        assert ours.begin(body(), StandInCall()) is None
        rest.plane.flows, rest.plane.request_log = None, mock.Mock()
        assert ours.begin(body(), StandInCall()) is None
        assert (
            Predictions(rest.plane, LimitOptions(), GrpcOptions(), RequestMetrics("GRPC")).begin(
                body(), StandInCall()
            )
            is None
        )


async def test_call_is_left_to_its_handler_while_there_are_keys(serving_rest):
    async with serving_rest() as rest:
        ring = KeyRing(required=False)
        services = GrpcServices(rest.plane, LimitOptions(), GrpcOptions(), beginner=rest.plane)
        begin = services.beginners(ring)[PREDICT]
        assert begin(body(), StandInCall()) is not None
        ring.is_used = True
        assert begin(body(), StandInCall()) is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ServingError(Code.INVALID_ARGUMENT, "it broke"), "it broke"),
        (Overloaded(Code.UNAVAILABLE, "full", 3.2), "full"),
    ],
)
async def test_error_is_told_and_counted_when_what_was_begun_fails(serving_rest, error, text):
    metrics = RequestMetrics("GRPC")
    async with serving_rest() as rest:
        rest.models.error, call = error, StandInCall()
        begun = predictions(rest, metrics).begin(body(signature="fails"), call)
        assert begun is not None
        await call.is_over()
        begun.cancel()
        assert (served(rest).in_flight, served(rest).loader.traffic.errors) == (0, 1)
    assert [(told.code, told.message) for told in call.told] == [(error.code, text)]
    assert counted(metrics) == {error.code.name: 1}


async def test_nothing_is_told_when_the_caller_has_left(serving_rest):
    metrics = RequestMetrics("GRPC")
    async with serving_rest() as rest:
        call, other = StandInCall(), StandInCall()
        ours = predictions(rest, metrics)
        begun = ours.begin(body(), call)
        begun.cancel()
        begun.cancel()
        assert (served(rest).in_flight, served(rest).loader.traffic.errors) == (0, 1)
        assert ours.begin(body(), other) is not None
        await other.is_over()
    assert call.told == []
    assert counted(metrics) == {"OK": 1, "CANCELLED": 1}


async def test_call_fails_alone_when_its_answer_cannot_be_encoded(serving_rest):
    metrics = RequestMetrics("GRPC")
    async with serving_rest() as rest:
        call = StandInCall()
        with mock.patch.object(grpc_predictions, "encode_predict_response", side_effect=ZeroDivisionError):
            assert predictions(rest, metrics).begin(body(), call) is not None
            await call.is_over()
        assert served(rest).in_flight == 0
    assert [type(told) for told in call.told] == [ZeroDivisionError]
    assert counted(metrics) == {"INTERNAL": 1}
