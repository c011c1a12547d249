"""Workers from spawn to gone: loads that fail, hang or abort, deaths on every side, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.frame import Call
from jupyter_tfserve.worker.lane import LaneLost
from jupyter_tfserve.worker.pool import WorkerPool
from tests.worker.worker_calls import GOOD, answer, fork_server_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

POISON = Call("serving_default", {"x": np.array([-1], "f4")})
ID = ServableId("m", 1)


async def test_versions_answer_each_for_itself_when_loaded_together(spawn):
    workers = [await spawn("version", version) for version in (1, 2, 3)]
    call = Call("serving_default", {"x": np.zeros((1, 1), "f4")}, ("version",))
    results = [await worker.lanes[0].run(call) for worker in workers]
    assert [result.outputs["version"].tolist() for result in results] == [[1], [2], [3]]
    assert len({worker.pid for worker in workers}) == 3


async def test_stop_leaves_no_process_when_worker_is_idle(spawn, is_gone):
    worker = await spawn("half_plus_two")
    assert not is_gone(worker.pid)
    await worker.stop()
    assert is_gone(worker.pid)
    assert worker.died.result() == "worker process died (exit status 0)"


async def test_stop_lets_the_batch_in_hand_end_when_worker_is_busy(spawn):
    worker = await spawn("slow")
    running = asyncio.ensure_future(answer(worker))
    await asyncio.sleep(0)
    await worker.stop()
    assert await running == [1, 2]


async def test_stop_kills_when_the_model_hangs(make_pool, spawn, is_gone):
    worker = await spawn("hang_run", pool=await make_pool(stop_timeout_s=0.1))
    running = asyncio.ensure_future(worker.lanes[0].run(POISON))
    await asyncio.sleep(0)
    await worker.stop()
    assert is_gone(worker.pid)
    assert worker.died.result() == "worker process died (signal 9, killed)"
    with pytest.raises(LaneLost):
        await running


async def test_spawn_leaves_no_descriptor_when_repeated(spawn):
    await (await spawn("half_plus_two")).stop()
    server = fork_server_of(os.getpid())
    before = psutil.Process().num_fds(), server.num_fds()
    for _ in range(3):
        await (await spawn("half_plus_two")).stop()
        with pytest.raises(ServingError):
            await spawn("none")
    assert (psutil.Process().num_fds(), server.num_fds()) == before
    assert server.children() == []


async def test_spawn_fails_with_the_signal_when_the_model_aborts_its_process(spawn):
    with pytest.raises(ServingError, match=r"^INTERNAL: .*") as raised:
        await spawn("abort_load")
    assert raised.value.message == "worker process died while loading (signal 6, aborted)"
    assert fork_server_of(os.getpid()).children() == []


async def test_spawn_fails_at_the_deadline_when_the_load_hangs(make_pool, spawn):
    pool = await make_pool(load_timeout_s=0.5)
    with pytest.raises(ServingError) as raised:
        await spawn("hang_load", pool=pool)
    assert raised.value.code is Code.DEADLINE_EXCEEDED
    assert raised.value.message == "Loading servable {name: hang_load version: 1} took longer than 0.5 s"
    assert fork_server_of(os.getpid()).children() == []


async def test_spawn_leaves_no_process_when_cancelled_while_loading(spawn, eventually):
    server = fork_server_of(os.getpid())
    spawning = asyncio.ensure_future(spawn("hang_load"))
    await eventually(server.children)
    spawning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spawning
    # One whose birth the engine had not heard of sees the end of its sockets by itself.
    await eventually(lambda: server.children() == [])


async def test_close_ends_everything_when_versions_load_and_serve(saved_models, eventually, is_gone):
    pool = WorkerPool(WorkerOptions())
    serving = await pool.spawn(ID, saved_models / "half_plus_two" / "1")
    server = fork_server_of(os.getpid())
    loading = asyncio.ensure_future(pool.spawn(ID, saved_models / "hang_load" / "1"))
    await eventually(lambda: len(server.children()) == 2)
    pids = [server.pid, *(child.pid for child in server.children())]
    await pool.close()
    assert all(is_gone(pid) for pid in pids)
    with pytest.raises(ServingError, match="the engine is stopping"):
        await loading
    with pytest.raises(ServingError, match="the engine is stopping"):
        await pool.spawn(ID, saved_models / "half_plus_two" / "1")
    with pytest.raises(LaneLost):
        await answer(serving)


async def test_close_is_quick_when_tensorflow_is_still_being_imported():
    pool = WorkerPool(WorkerOptions())
    await pool.start()
    server = fork_server_of(os.getpid())
    await asyncio.wait_for(pool.close(), 1)
    assert not server.is_running()


@pytest.mark.fault
@pytest.mark.parametrize(
    ("number", "how"), [(signal.SIGKILL, "signal 9, killed"), (signal.SIGTERM, "signal 15, terminated")]
)
async def test_worker_reports_its_death_when_killed(spawn, is_gone, number, how):
    worker = await spawn("hang_run")
    running = asyncio.ensure_future(worker.lanes[0].run(POISON))
    await asyncio.sleep(0)
    os.kill(worker.pid, number)
    assert await asyncio.wait_for(asyncio.shield(worker.died), 10) == f"worker process died ({how})"
    assert is_gone(worker.pid)
    with pytest.raises(LaneLost, match="worker process died"):
        await running
    for lane in worker.lanes:
        with pytest.raises(LaneLost, match=how):
            await lane.run(GOOD)


@pytest.mark.fault
async def test_only_the_poisoned_worker_dies_when_a_model_aborts_at_run(spawn):
    poisoned, other = await spawn("abort_run"), await spawn("abort_run")
    assert await answer(poisoned) == [1, 2]
    with pytest.raises(LaneLost) as raised:
        await poisoned.lanes[1].run(POISON)
    assert raised.value.code is Code.UNAVAILABLE
    assert await poisoned.died == "worker process died (signal 6, aborted)"
    assert await answer(other) == [1, 2]


async def test_lane_is_free_again_when_a_hanging_call_had_a_timeout(spawn):
    worker = await spawn("hang_run")
    with pytest.raises(ServingError) as raised:
        await worker.lanes[0].run(Call("serving_default", POISON.inputs, (), 0.05))
    assert raised.value.code is Code.DEADLINE_EXCEEDED
    assert await answer(worker) == [1, 2]


async def test_second_lane_answers_when_the_first_hangs(spawn):
    worker = await spawn("hang_run")
    running = asyncio.ensure_future(worker.lanes[0].run(POISON))
    assert [await answer(worker, lane=1) for _ in range(3)] == [[1, 2]] * 3
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(LaneLost):
        await running


async def test_interrupt_is_ignored_when_it_comes_from_the_terminal(spawn):
    worker = await spawn("half_plus_two")
    for pid in (worker.pid, fork_server_of(os.getpid()).pid):
        os.kill(pid, signal.SIGINT)
    assert await answer(worker) == [2.5, 3]
    assert await answer(await spawn("half_plus_two")) == [2.5, 3]


ENGINE = """
import asyncio, json, os, sys
from pathlib import Path
import numpy as np
from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.frame import Call
from jupyter_tfserve.worker.pool import WorkerPool

async def main(base):
    pool = WorkerPool(WorkerOptions())
    spawn = lambda name: pool.spawn(ServableId(name, 1), base / name / "1")
    idle, hung = await spawn("half_plus_two"), await spawn("hang_run")
    running = asyncio.ensure_future(hung.lanes[0].run(Call("", {"x": np.array([-1], "f4")})))
    loading = asyncio.ensure_future(spawn("hang_load"))
    while pool._launcher._server._workers.keys() <= {idle.pid, hung.pid}:
        await asyncio.sleep(0.01)
    print(json.dumps([idle.pid, hung.pid]), flush=True)
    await asyncio.sleep(600)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_no_process_is_left_when_the_engine_is_killed(saved_models, eventually, is_gone, number):
    """Not even a worker that hangs in a run or in its load."""
    command = [sys.executable, "-c", ENGINE, str(saved_models)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as engine:  # noqa: ASYNC220  the process is the test
        pids = json.loads(await asyncio.to_thread(engine.stdout.readline))
        below = [process.pid for process in psutil.Process(engine.pid).children(recursive=True)]
        assert set(pids) < set(below)
        assert len(below) == 4
        engine.send_signal(number)
        engine.wait()
        await eventually(lambda: all(is_gone(pid) for pid in below), timeout_s=5)


async def test_processes_hold_no_secret_when_the_engine_has_some(make_pool, spawn, monkeypatch):
    monkeypatch.setenv("JUPYTER_TOKEN", "s3cret")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "s3cret")
    worker = await spawn("half_plus_two", pool=await make_pool())
    for process in (psutil.Process(worker.pid), fork_server_of(os.getpid())):
        assert "s3cret" not in str(process.environ())
        assert "s3cret" not in str(process.cmdline())


async def test_module_of_the_working_folder_is_not_imported_when_it_has_a_known_name(
    make_pool, spawn, monkeypatch, tmp_path
):
    (tmp_path / "tensorflow.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 has no safe path")
    assert await answer(await spawn("half_plus_two", pool=await make_pool())) == [2.5, 3]


async def test_spawn_says_why_when_tensorflow_cannot_be_imported(make_pool, spawn, monkeypatch, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise TypeError('protobuf is too new')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pool = await make_pool()
    for _ in range(2):
        with pytest.raises(ServingError) as raised:
            await spawn("half_plus_two", pool=pool)
        assert raised.value.code is Code.FAILED_PRECONDITION
        assert raised.value.message == "TensorFlow cannot be imported: protobuf is too new"


def break_model(source: Path, target: Path, how: str) -> Path:
    path = target / how / "1"
    shutil.copytree(source, path)
    graph = path / "saved_model.pb"
    weights = path / "variables" / "variables.data-00000-of-00001"
    match how:
        case "no graph":
            graph.unlink()
        case "session bundle":
            graph.rename(path / "export.meta")
        case "truncated graph":
            graph.write_bytes(graph.read_bytes()[:-40])
        case "noise for a graph":
            graph.write_bytes(b"\xff" * 300)
        case "empty graph":
            graph.write_bytes(b"")
        case "no variables":
            shutil.rmtree(path / "variables")
        case "truncated variables":
            weights.write_bytes(weights.read_bytes()[:-3])
        case "flipped variables":
            weights.write_bytes(bytes(byte ^ 255 for byte in weights.read_bytes()))
    return path


NO_GRAPH = (
    "Specified file path does not appear to contain a SavedModel bundle "
    "(should have a file called `saved_model.pb`)\nSpecified file path: {path}"
)
NO_TAGS = (
    "Could not find meta graph def matching supplied tags: {{ serve }}. To inspect available tag-sets "
    "in the SavedModel, please use the SavedModel CLI: `saved_model_cli`"
)
NO_PROTO = "Can't parse {path}/saved_model.pb as binary proto"


async def test_session_config_of_a_version_reaches_its_worker(pool, saved_models):
    with pytest.raises(ServingError):
        await pool.spawn(ID, saved_models / "half_plus_two" / "1", b"\xff no ConfigProto")


@pytest.mark.parametrize(
    ("how", "code", "text"),
    [
        ("no graph", Code.NOT_FOUND, NO_GRAPH),
        ("session bundle", Code.UNIMPLEMENTED, "Session Bundle is deprecated and removed."),
        ("noise for a graph", Code.DATA_LOSS, NO_PROTO),
        ("truncated graph", Code.DATA_LOSS, NO_PROTO),
        ("empty graph", Code.NOT_FOUND, NO_TAGS),
        ("no variables", None, None),
        ("truncated variables", None, None),
        ("flipped variables", Code.DATA_LOSS, None),
    ],
)
async def test_spawn_fails_in_one_clear_way_when_the_model_is_broken(
    pool, saved_models, tmp_path, how, code, text
):
    path = break_model(saved_models / "half_plus_two" / "1", tmp_path, how)
    with pytest.raises(ServingError) as raised:
        await pool.spawn(ID, path)
    if code is not None:
        assert raised.value.code is code
    assert not raised.value.message.startswith("Graph execution error")
    if text is not None:
        assert raised.value.message == text.format(path=path)
    assert "Traceback" not in raised.value.message
    assert ".py" not in raised.value.message


async def test_spawn_fails_when_no_graph_has_the_tags(make_pool, spawn):
    with pytest.raises(ServingError) as raised:
        await spawn("half_plus_two", pool=await make_pool(saved_model_tags=("serve", "gpu")))
    assert raised.value.code is Code.NOT_FOUND
    assert raised.value.message.startswith(
        "Could not find meta graph def matching supplied tags: { serve gpu }. "
    )


async def test_threads_are_as_many_as_asked_when_options_say(make_pool, spawn):
    few = await spawn(
        "dense784", pool=await make_pool(intra_op_parallelism=1, inter_op_parallelism=1, lanes=1)
    )
    many = await spawn(
        "dense784", pool=await make_pool(intra_op_parallelism=9, inter_op_parallelism=9, lanes=1)
    )
    call = Call("serving_default", {"x": np.ones((64, 784), "f4")})
    for worker in (few, many):
        assert (await worker.lanes[0].run(call)).outputs["scores"].shape == (64, 10)
    assert psutil.Process(many.pid).num_threads() >= psutil.Process(few.pid).num_threads() + 8


async def test_lanes_are_refused_when_too_many():
    with pytest.raises(ServingError, match="lanes must be at most 126"):
        WorkerPool(WorkerOptions(lanes=128))
