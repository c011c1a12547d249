"""Callers that hang up, fail, are late, or share batches, all at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import time

import grpc
import numpy as np
import pytest

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from tests.reliability.lines import SEED
from tests.reliability.oracles import rows_belong
from tests.reliability.wire import Wire, post, wires

PREDICT = "/tensorflow.serving.PredictionService/Predict"


def rows_request(rows: list[float], model: str = "half_plus_two") -> bytes:
    return post(f"/v1/models/{model}:predict", json.dumps({"instances": rows}).encode())


def predict_message(model: str, rows: list[float]) -> bytes:
    request = protos.PredictRequest()
    request.model_spec.name = model
    encode_tensor(np.array(rows, np.float32), request.inputs["x"])
    return request.SerializeToString()


def rows_run(engine, model: str) -> float:
    """The rows that the engine has given to the model's versions."""
    page = engine.control.get("/monitoring/prometheus/metrics").text
    return sum(map(float, re.findall(rf'batched_rows_total{{model="{model}"[^}}]*}} (\S+)', page)))


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.nightly)])
async def test_callers_that_stay_are_answered_when_others_hang_up(
    engine, oracles, record_case, seconds
) -> None:
    """L11: half of 64 callers of a slow model close their connection, or cancel their call, at a random moment."""
    url, end, chance = engine.connection.rest_url, time.monotonic() + seconds, random.Random(SEED)
    answered, abandoned, ran = 0, 0, rows_run(engine, "slow")

    async def stay(number: int) -> None:
        nonlocal answered
        wire = await Wire.open(url)
        while time.monotonic() < end:
            status, body = await wire.ask(rows_request([float(number)], "slow"))
            assert status == 200, body
            assert json.loads(body)["predictions"] == [number]
            answered += 1
        wire.close()

    async def leave() -> None:
        nonlocal abandoned
        while time.monotonic() < end:
            wire = await Wire.open(url)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(wire.ask(rows_request([-1.0], "slow")), chance.random() * 0.05)
            wire.writer.transport.abort()
            abandoned += 1

    async def cancel(call) -> None:
        nonlocal abandoned
        while time.monotonic() < end:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(call(predict_message("slow", [-1.0])), chance.random() * 0.05)
            abandoned += 1

    async with grpc.aio.insecure_channel(engine.connection.grpc_address) as channel:
        call = channel.unary_unary(PREDICT)
        await asyncio.gather(
            *(stay(number) for number in range(32)),
            *(leave() for _ in range(16)),
            *(cancel(call) for _ in range(16)),
        )
    assert answered > 32
    assert abandoned > 32
    ran = rows_run(engine, "slow") - ran
    record_case("L11", "rows run that nobody waited for", 100 * (1 - answered / ran), f"% of {ran:,.0f}")
    record_case("L11", f"answers lost beside {abandoned:,} hang-ups in {seconds} s", 0, f"of {answered:,}")


async def test_failing_rows_fail_alone_under_load(engine, oracles, record_case) -> None:
    """L12: a negative row fails in the model; rows that shared its batch are answered."""
    async with wires(engine.connection.rest_url, 16) as opened:

        async def ask(number: int, wire: Wire) -> None:
            for turn in range(25):
                is_bad = number % 4 == 0
                row = -1.0 if is_bad else float(number * 100 + turn)
                status, body = await wire.ask(rows_request([row], "fail_run"))
                if is_bad:
                    assert status == 400, body
                    assert b"must not be negative" in body
                    oracles.check_clean(body.decode())
                else:
                    assert status == 200, body
                    assert json.loads(body)["predictions"] == [row]

        await asyncio.gather(*(ask(number, wire) for number, wire in enumerate(opened)))
        began = time.perf_counter()
        assert (await opened[0].ask(rows_request([-1.0], "fail_run")))[0] == 400
        assert (await opened[1].ask(rows_request([7.0], "fail_run")))[0] == 200
    record_case("L12", "a failure and the good answer after it", (time.perf_counter() - began) * 1000, "ms")


@pytest.mark.parametrize("rows", [20_000, pytest.param(2_000_000, marks=pytest.mark.nightly)])
async def test_rows_reach_their_own_caller(engine, oracles, record_case, rows) -> None:
    """S13: every row is a number of its own, in requests of 1 to 50 rows over both protocols."""
    numbers, sent, requests = iter(range(2**22)), 0, 0
    chance = random.Random(SEED)

    def next_rows() -> list[float]:
        nonlocal sent, requests, numbers
        count = chance.randint(1, 50)
        mine = [float(number) for _, number in zip(range(count), numbers, strict=False)]
        if len(mine) < count:
            numbers = iter(range(2**22))
        sent += len(mine)
        requests += 1
        return mine or [0.0]

    async def over_rest(wire: Wire) -> None:
        while sent < rows:
            mine = next_rows()
            status, body = await wire.ask(rows_request(mine))
            assert status == 200, body
            rows_belong(mine, body)

    async def over_grpc(call) -> None:
        while sent < rows:
            mine = next_rows()
            answer = protos.PredictResponse.FromString(await call(predict_message("half_plus_two", mine)))
            assert list(answer.outputs["y"].float_val) == [x / 2 + 2 for x in mine]

    counted = oracles.counted()
    async with (
        wires(engine.connection.rest_url, 12) as opened,
        grpc.aio.insecure_channel(engine.connection.grpc_address) as channel,
    ):
        call = channel.unary_unary(PREDICT)
        await asyncio.gather(*map(over_rest, opened), *(over_grpc(call) for _ in range(12)))
    assert oracles.counted() - counted == requests
    record_case("S13", "rows that went astray", 0, f"of {sent:,}")


async def test_deadlines_are_kept_over_a_full_queue(engine, oracles, record_case) -> None:
    """L14: what is late is told so about when it is late, though 100 requests wait before it."""
    worst_ms = 0.0
    async with (
        wires(engine.connection.rest_url, 40) as opened,
        grpc.aio.insecure_channel(engine.connection.grpc_address) as channel,
    ):
        call = channel.unary_unary(PREDICT)
        queue = [asyncio.ensure_future(wire.ask(rows_request([1.0], "slow"))) for wire in opened]
        await asyncio.sleep(0)

        async def expire(deadline_s: float) -> None:
            nonlocal worst_ms
            began = time.perf_counter()
            made = call(predict_message("slow", [2.0]), timeout=deadline_s)
            code = await made.code()
            if code is grpc.StatusCode.UNAVAILABLE:
                # The line was so long that it was told at once.
                assert "at most" in await made.details()
            elif code is not grpc.StatusCode.OK:
                assert code is grpc.StatusCode.DEADLINE_EXCEEDED
                worst_ms = max(worst_ms, (time.perf_counter() - began - deadline_s) * 1000)

        await asyncio.gather(
            *(expire(deadline_s) for deadline_s in (0.001, 0.005, 0.02, 0.05, 0.2, 1.0) * 10)
        )
        assert [status for status, _ in await asyncio.gather(*queue)] == [200] * 40
    assert worst_ms > 0
    record_case("L14", "latest news of a deadline that passed", worst_ms, "ms after it")
