"""model.tflite behind a worker: its signatures, from the file or generated, and its answers."""

from __future__ import annotations

import numpy as np
import pytest
import pytest_asyncio

from jupyter_tfserve.codec.signatures import parse_signatures
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.types import ServableId, TensorSpec
from jupyter_tfserve.worker.frame import Call
from jupyter_tfserve.worker.pool import WorkerPool

pytestmark = pytest.mark.asyncio(loop_scope="session")

X = np.array([1, 2, 5], "f4")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def lite_pool():
    pool = WorkerPool(WorkerOptions(prefer_tflite_model=True, num_tflite_pools=3))
    await pool.start()
    yield pool
    await pool.close()


@pytest.fixture
def spawn_lite(spawn, lite_pool):
    return lambda name: spawn(name, pool=lite_pool)


async def outputs(worker, key="", wanted=(), **inputs):
    result = await worker.lanes[0].run(Call(key, inputs, wanted))
    return {alias: tensor.tolist() for alias, tensor in result.outputs.items()}


async def test_lite_model_answers_when_it_is_preferred(spawn_lite):
    worker = await spawn_lite("lite")
    assert await outputs(worker, x=X) == {"y": [2.5, 3.0, 4.5]}
    assert await outputs(worker, "doubled", x=X) == {"y": [2, 4, 10]}
    assert parse_signatures(worker.signature_defs).keys() == {"serving_default", "doubled"}


async def test_saved_model_answers_when_lite_is_not_preferred(spawn):
    worker = await spawn("lite")
    assert await outputs(worker, x=X) == {"y": [1, 2, 5]}


async def test_saved_model_answers_when_there_is_no_lite_model(spawn_lite):
    worker = await spawn_lite("half_plus_two")
    assert await outputs(worker, x=X) == {"y": [2.5, 3.0, 4.5]}
    assert len(worker.lanes) == WorkerOptions().lanes


async def test_signature_is_generated_when_the_file_has_none(spawn_lite):
    """The tensors' names without `:0` are the aliases; a fixed shape is resized to the request's."""
    worker = await spawn_lite("lite_only")
    signatures = parse_signatures(worker.signature_defs)
    assert signatures.keys() == {"serving_default"}
    assert signatures["serving_default"].inputs == {"x": TensorSpec("x:0", "float", (1,))}
    assert signatures["serving_default"].outputs.keys() == {"y"}
    for rows in (X[:1], X, X[:2], np.ones((2, 3), "f4")):
        assert await outputs(worker, x=rows) == {"y": (rows / 2 + 2).tolist()}


@pytest.mark.parametrize("key", ["", "again"])
async def test_signature_defs_of_the_file_count_when_its_metadata_has_them(spawn_lite, key):
    worker = await spawn_lite("lite_signature_defs")
    assert parse_signatures(worker.signature_defs).keys() == {"serving_default", "again"}
    assert await outputs(worker, key, feature=X) == {"score": [2.5, 3.0, 4.5]}


async def test_strings_go_through_when_the_model_takes_them(spawn_lite):
    text = np.array([b"a\0\xff", b"", b"long" * 1000], object)
    assert await outputs(await spawn_lite("lite_strings"), text=text) == {"first": [b"a\0\xff"]}


async def test_every_lane_answers_when_there_are_many_interpreters(spawn_lite):
    worker = await spawn_lite("lite")
    assert len(worker.lanes) == 3
    running = [lane.submit(Call("", {"x": X + place})) for place, lane in enumerate(worker.lanes)]
    answers = [(await one).outputs["y"].tolist() for one in running]
    assert answers == [((X + place) / 2 + 2).tolist() for place in range(3)]


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        (Call("other", {"x": X}), Code.FAILED_PRECONDITION, 'Serving signature key "other" not found.'),
        (Call("", {}), Code.INVALID_ARGUMENT, "input size does not match signature: 0!=1"),
        (Call("", {"z": X}), Code.INVALID_ARGUMENT, "Signature input alias: x not found in request"),
        (Call("", {"x": X}, ("z",)), Code.INVALID_ARGUMENT, "output tensor alias not found in signature: z"),
        (Call("", {"x": X.astype("i4")}), Code.INVALID_ARGUMENT, "INT32"),
    ],
)
async def test_call_fails_with_its_code_when_the_model_cannot_run_it(spawn_lite, call, code, text):
    lane = (await spawn_lite("lite")).lanes[0]
    with pytest.raises(ServingError) as raised:
        await lane.run(call)
    assert raised.value.code is code
    assert text in raised.value.message
    assert (await lane.run(Call("", {"x": X}))).outputs["y"].tolist() == [2.5, 3.0, 4.5]


async def test_load_fails_when_the_file_is_no_model(lite_pool, tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"\x10\0\0\0nonsense" * 10)
    with pytest.raises(ServingError, match=r"model\.tflite cannot be loaded") as raised:
        await lite_pool.spawn(ServableId("broken", 1), tmp_path)
    assert raised.value.code is Code.INTERNAL
    assert "Traceback" not in raised.value.message
