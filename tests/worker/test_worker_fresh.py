"""Workers where nothing may fork: the same behaviour, only slower to start."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.frame import Call
from jupyter_tfserve.worker.fresh import FreshLauncher
from jupyter_tfserve.worker.pool import WorkerPool

CALL = Call("serving_default", {"x": np.array([1, 2], "f4")})
ID = ServableId("m", 1)


@pytest.fixture
async def fresh_pool():
    pool = WorkerPool(WorkerOptions(load_timeout_s=120, stop_timeout_s=0.2), FreshLauncher())
    await pool.start()
    yield pool
    await pool.close()


async def test_fresh_worker_answers_and_is_gone_when_stopped(fresh_pool, saved_models, is_gone):
    worker = await fresh_pool.spawn(ID, saved_models / "hang_run" / "1")
    assert (await worker.lanes[0].run(CALL)).outputs["y"].tolist() == [1, 2]
    hanging = asyncio.ensure_future(worker.lanes[1].run(Call("", {"x": np.array([-1], "f4")})))
    await asyncio.sleep(0)
    await worker.stop()
    assert is_gone(worker.pid)
    assert worker.died.result() == "worker process died (signal 9, killed)"
    with pytest.raises(ServingError, match="worker process died"):
        await hanging


async def test_fresh_spawn_fails_with_the_signal_when_the_model_aborts(fresh_pool, saved_models):
    with pytest.raises(ServingError) as raised:
        await fresh_pool.spawn(ID, saved_models / "abort_load" / "1")
    assert raised.value.message == "worker process died while loading (signal 6, aborted)"


async def test_fresh_spawn_says_why_when_tensorflow_cannot_be_imported(
    fresh_pool, saved_models, monkeypatch, tmp_path
):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libcuda is too old')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ServingError) as raised:
        await fresh_pool.spawn(ID, saved_models / "half_plus_two" / "1")
    assert raised.value.code is Code.FAILED_PRECONDITION
    assert raised.value.message == "TensorFlow cannot be imported: libcuda is too old"
