"""Where our data plane's time goes, in microseconds a request: each stage's function, called as the data path does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from jupyter_tfserve.batching.assemble import merge, split
from jupyter_tfserve.batching.task import BatchTask, batch_rows, size_bytes
from jupyter_tfserve.codec.json_predict import bind_predict, encode_predict, parse_predict
from jupyter_tfserve.codec.protos import PredictRequest
from jupyter_tfserve.dataplane.grpc_edge import parse_message
from jupyter_tfserve.dataplane.grpc_predict import bind_predict_request, encode_predict_response
from jupyter_tfserve.dataplane.http_message import HttpResponse, head_lines, response_head
from jupyter_tfserve.dataplane.rest_routes import find_route
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Signature, Tensors, TensorSpec
from jupyter_tfserve.worker.frame import Call, FrameDecoder, decode_result, encode_call, encode_result
from tests.benchmarks.models import Model
from tests.benchmarks.workloads import predict_call

_BATCH = 16
_ROUNDS = 25
_DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"


def rest_stages(model: Model) -> dict[str, float]:
    """Microseconds of each stage of a REST request with one float row of the model."""
    limits, signature = LimitOptions(), _signature(model)
    body = json.dumps({"instances": [model.row]}).encode()
    target = f"/v1/models/{model.name}:predict"
    inputs, _ = bind_predict(parse_predict(body, limits), signature, limits)
    outputs = {"y": np.asarray(model.expected, np.float32)}
    answer = HttpResponse(200, encode_predict(outputs, True))
    lines = head_lines(answer.status, answer.content_type, _DATE)
    parse_us = _microseconds(lambda: parse_predict(body, limits))

    def parse_and_bind() -> None:
        bind_predict(parse_predict(body, limits), signature, limits)

    return {
        "route": _microseconds(lambda: find_route("POST", target)),
        "parse": parse_us,
        "bind": max(0.0, _microseconds(parse_and_bind) - parse_us),
        **_middle_stages(inputs, outputs),
        "encode": _microseconds(lambda: encode_predict(outputs, True)),
        "write": _microseconds(lambda: response_head(answer, lines, True) + answer.body),
    }


def grpc_stages(model: Model, as_content: bool) -> dict[str, float]:
    """The same for gRPC, where grpcio does what is before `parse` and after `encode`."""
    limits, signature = LimitOptions(), _signature(model)
    body = predict_call(model, "127.0.0.1:1", as_content).body
    request = parse_message(PredictRequest, body)
    inputs, _ = bind_predict_request(request, signature, limits)
    outputs = {"y": np.asarray(model.expected, np.float32)}
    return {
        "parse": _microseconds(lambda: parse_message(PredictRequest, body)),
        "bind": _microseconds(lambda: bind_predict_request(request, signature, limits)),
        **_middle_stages(inputs, outputs),
        "encode": _microseconds(lambda: encode_predict_response(model.name, 1, "serving_default", outputs)),
    }


def _middle_stages(inputs: Tensors, outputs: Tensors) -> dict[str, float]:
    """What both protocols share, for a batch of 16 rows: each request's share of it."""
    loop = asyncio.new_event_loop()

    def task() -> BatchTask:
        rows, size, future = batch_rows(inputs), size_bytes(inputs), loop.create_future()
        made = BatchTask("serving_default", inputs, ("y",), rows, size, 0.0, None, future)
        _ = made.mates
        return made

    try:
        queue_us, tasks = _microseconds(task), [task() for _ in range(_BATCH)]
    finally:
        loop.close()
    merged = merge(tasks)
    answers = {alias: np.repeat(tensor, _BATCH, axis=0) for alias, tensor in outputs.items()}
    frame = _frame(encode_result(answers, 0.0))
    return {
        "queue": queue_us,
        "merge": _microseconds(lambda: merge(tasks)) / _BATCH,
        "lane out": _microseconds(lambda: encode_call(Call("serving_default", merged, ("y",)))) / _BATCH,
        "lane back": _microseconds(lambda: decode_result(frame)) / _BATCH,
        "split": _microseconds(lambda: split(answers, tasks, _BATCH)) / _BATCH,
    }


def _frame(parts: list[Any]) -> Any:
    decoder, left = FrameDecoder(), memoryview(b"".join(parts))
    while left:
        buffer = decoder.get_buffer()
        count = min(len(buffer), len(left))
        buffer[:count], left = left[:count], left[count:]
        frame = decoder.received(count)
    return frame


def _signature(model: Model) -> Signature:
    inner = np.asarray(model.row).shape
    answer = np.asarray(model.expected).shape[1:]
    x, y = TensorSpec("x:0", "float", (-1, *inner)), TensorSpec("y:0", "float", (-1, *answer))
    return Signature("tensorflow/serving/predict", {"x": x}, {"y": y})


def _microseconds(work: Callable[[], Any]) -> float:
    """The fastest of some short rounds: what else the machine does can only add to it."""
    began = time.perf_counter()
    work()
    count = max(1, int(0.002 / max(time.perf_counter() - began, 1e-7)))
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(count):
            work()
        rounds.append((time.perf_counter() - began) / count * 1e6)
    return min(rounds)
