"""The side lane: TensorFlow's profiler runs while lanes serve; and SessionRun, which goes through the lanes."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.worker.frame import SESSION_RUN, Call
from jupyter_tfserve.worker.lane import LaneLost

pytestmark = pytest.mark.asyncio(loop_scope="session")

X = {"x": np.array([1, 2], "f4")}
OPTIONS = {"host_tracer_level": 2, "device_tracer_level": 0, "python_tracer_level": 0}


async def predict(worker, times=20):
    for _ in range(times):
        assert (await worker.lanes[0].run(Call("", X))).outputs["y"].tolist() == [2.5, 3]


async def test_profile_has_what_ran_when_lanes_served_meanwhile(spawn):
    worker = await spawn("half_plus_two")
    await predict(worker, 1)
    for _ in range(2):
        await worker.start_profile(OPTIONS)
        await predict(worker)
        assert len(await worker.stop_profile()) > 500
    await worker.start_profile(OPTIONS)
    assert await worker.stop_profile() == b""


async def test_profile_is_refused_when_one_is_being_taken(spawn):
    worker = await spawn("half_plus_two")
    await worker.start_profile(OPTIONS)
    with pytest.raises(ServingError) as raised:
        await worker.start_profile(OPTIONS)
    assert raised.value.code is Code.ALREADY_EXISTS
    await worker.stop_profile()
    assert await worker.stop_profile() == b""


async def test_profile_is_lost_when_the_worker_dies(spawn):
    worker = await spawn("half_plus_two")
    await worker.start_profile(OPTIONS)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(LaneLost):
        await worker.stop_profile()
    await worker.died


async def session_run(worker, outputs, **inputs):
    result = await worker.lanes[0].run(Call(SESSION_RUN, inputs, outputs))
    return {name: tensor.tolist() for name, tensor in result.outputs.items()}


async def test_session_run_gives_any_tensor_when_it_is_named(spawn):
    worker = await spawn("tf1")
    x = np.array([2, 4], "f4")
    fetched = await session_run(worker, ("mul:0", "mul", "features", "^two"), features=x)
    assert fetched == {"mul:0": [1, 2], "mul": [1, 2], "features": [2, 4]}
    assert await session_run(worker, ("^two",)) == {}
    assert await session_run(worker, ("features:0",), features=x) == {"features:0": [2, 4]}


@pytest.mark.parametrize(
    ("outputs", "inputs", "code", "text"),
    [
        ((), {}, Code.INVALID_ARGUMENT, "Must specify at least one target to fetch or execute."),
        (("no:0",), {}, Code.NOT_FOUND, "FetchOutputs node no:0: not found"),
        (("mul",), {"no": np.float32(1)}, Code.NOT_FOUND, "FeedInputs: unable to find feed output no"),
        (("^no",), {}, Code.NOT_FOUND, "TargetNode no not found"),
        (("mul",), {}, Code.INVALID_ARGUMENT, "must feed a value for placeholder"),
    ],
)
async def test_session_run_fails_with_its_code_when_a_name_is_wrong(spawn, outputs, inputs, code, text):
    worker = await spawn("tf1")
    with pytest.raises(ServingError) as raised:
        await session_run(worker, outputs, **inputs)
    assert raised.value.code is code
    assert text in raised.value.message
