"""GPUs found and chosen: made-up ones, since the choice is a function; and the real probe, wherever it runs."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.session_config import session_config_class
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker import devices, main
from jupyter_tfserve.worker.device_placement import Occupant, choose_gpu
from jupyter_tfserve.worker.device_session import DEFAULT_FRACTION, limit_gpu_memory
from jupyter_tfserve.worker.devices import (
    Gpu,
    Gpus,
    SmiRow,
    may_have_gpus,
    parse_smi,
    visible_names,
    with_memory,
)
from jupyter_tfserve.worker.pool import WorkerPool

GIB = 2**30
M1, M2, OTHER = ServableId("m", 1), ServableId("m", 2), ServableId("other", 1)
A, B = Gpu(0, "0", "H200", 100 * GIB, 0), Gpu(1, "1", "H200", 100 * GIB, 0)


@pytest.mark.parametrize(
    ("gpus", "occupants", "expected"),
    [
        ([], [], None),
        ([A, B], [], "GPU:0"),
        ([A, B], [Occupant(M1, "GPU:0")], "GPU:1"),
        ([A, B], [Occupant(M2, "GPU:0")], "GPU:1"),
        ([A, B], [Occupant(M1, "GPU:0"), Occupant(OTHER, "GPU:1"), Occupant(OTHER, "GPU:1")], "GPU:1"),
        ([replace(A, used_bytes=60 * GIB), B], [Occupant(OTHER, "GPU:1")], "GPU:1"),
        ([replace(A, used_bytes=1 * GIB), B], [Occupant(OTHER, "GPU:1")], "GPU:0"),
        (
            [replace(A, used_bytes=1 * GIB), replace(B, used_bytes=2 * GIB)],
            [Occupant(OTHER, "GPU:0")],
            "GPU:1",
        ),
        ([replace(A, memory_bytes=None, used_bytes=None), B], [Occupant(OTHER, "GPU:0")], "GPU:1"),
    ],
)
def test_gpu_is_chosen_by_its_replicas_then_memory_then_workers(gpus, occupants, expected):
    chosen = choose_gpu(gpus, occupants, M1)
    assert (chosen and chosen.name) == expected


@given(
    st.lists(st.tuples(st.integers(1, 200), st.floats(0, 1)), min_size=1, max_size=8),
    st.lists(st.tuples(st.sampled_from([M2, OTHER]), st.integers(0, 7)), max_size=20),
    st.integers(1, 24),
)
def test_replicas_differ_by_at_most_one_between_gpus_whatever_else_runs(memories, others, count):
    gpus = [
        Gpu(number, str(number), "x", size * GIB, int(size * used) * GIB)
        for number, (size, used) in enumerate(memories)
    ]
    occupants = [Occupant(servable, f"GPU:{number}") for servable, number in others]
    for _ in range(count):
        chosen = choose_gpu(gpus, occupants, M1)
        assert chosen is not None
        occupants.append(Occupant(M1, chosen.name))
    own = Counter(occupant.gpu for occupant in occupants if occupant.servable == M1)
    counts = [own[gpu.name] for gpu in gpus]
    assert max(counts) - min(counts) <= 1


def test_memory_is_read_when_nvidia_smi_tells_it():
    text = "0, GPU-aa-1, 143771, 512\n1, GPU-bb-2, 143771, [N/A]\nbroken\n2, GPU-cc-3, 80000, 0\n"
    rows = parse_smi(text)
    assert rows == (
        SmiRow("0", "GPU-aa-1", 143771 * 2**20, 512 * 2**20),
        SmiRow("2", "GPU-cc-3", 80000 * 2**20, 0),
    )
    by_index, by_uuid, slice_, unknown = (
        Gpu(number, visible, "x") for number, visible in enumerate(["0", "GPU-cc", "MIG-1", "1"])
    )
    filled = with_memory([by_index, by_uuid, slice_, unknown], rows)
    assert [gpu.used_bytes for gpu in filled] == [512 * 2**20, 0, None, None]
    assert filled[0].to_json() == {
        "name": "GPU:0",
        "model": "x",
        "memory_bytes": 143771 * 2**20,
        "used_bytes": 512 * 2**20,
    }


@pytest.mark.parametrize(
    ("listed", "count", "expected"),
    [
        (None, 2, ["0", "1"]),
        ("3,1", 2, ["3", "1"]),
        (" GPU-aa , GPU-bb ", 2, ["GPU-aa", "GPU-bb"]),
        ("3,9,1", 2, ["3", "9"]),
        ("3", 2, ["0", "1"]),
    ],
)
def test_gpus_are_called_as_the_driver_does_when_some_are_hidden(listed, count, expected):
    environment = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert visible_names(environment, count) == expected


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_gpus_are_not_looked_for_when_they_are_hidden_or_there_is_no_driver(monkeypatch, tmp_path, hidden):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-a, 16, 4'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert may_have_gpus({})
    assert devices.ask_smi() == (SmiRow("0", "GPU-a", 16 * 2**20, 4 * 2**20),)
    assert not may_have_gpus({"CUDA_VISIBLE_DEVICES": hidden})
    program.write_text("#!/bin/sh\nexit 9\n")
    assert devices.ask_smi() == ()
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setattr(devices, "_DRIVERS", ())
    assert not may_have_gpus({})
    assert devices.ask_smi() == ()


async def test_no_gpu_is_used_when_tensorflow_cannot_list_them(caplog):
    async def probe() -> bytes:
        raise ServingError(Code.FAILED_PRECONDITION, "the driver is too old")

    gpus = Gpus(probe, is_likely=True)
    gpus.start()
    assert await gpus.found() == gpus.known() == ()
    assert "No GPU is used: the driver is too old" in caplog.text
    await gpus.close()


def limited(text: str, limit_mb: int):
    from google.protobuf import text_format

    config = text_format.Parse(text, session_config_class()())
    limit_gpu_memory(config, limit_mb)
    assert config.gpu_options.allow_growth
    options = config.gpu_options
    virtual = [list(each.memory_limit_mb) for each in options.experimental.virtual_devices]
    return options.per_process_gpu_memory_fraction, virtual


@pytest.mark.parametrize(
    ("text", "limit_mb", "expected"),
    [
        ("", 0, (DEFAULT_FRACTION, [])),
        ("gpu_options { per_process_gpu_memory_fraction: 0.25 }", 0, (0.25, [])),
        ("gpu_options { experimental { virtual_devices { memory_limit_mb: 7 } } }", 0, (0, [[7]])),
        ("", 512, (0, [[512]])),
        ("gpu_options { per_process_gpu_memory_fraction: 0.25 }", 512, (0, [[512]])),
        ("gpu_options { experimental { virtual_devices { memory_limit_mb: 7 } } }", 512, (0, [[512]])),
    ],
)
def test_session_has_a_cap_of_gpu_memory_whatever_is_said(text, limit_mb, expected):
    assert limited(text, limit_mb) == expected


def test_worker_sees_one_gpu_when_it_is_given_one(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    main._show_gpu("")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    main._show_gpu("GPU-aa")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aa"


async def test_probe_leaves_no_process_and_the_fork_server_fit_to_fork(saved_models):
    """The real way: a process of its own asks TensorFlow; workers forked afterwards answer, spread over made-up GPUs."""
    pool = WorkerPool(WorkerOptions())
    await pool.start()
    try:
        listed = json.loads(await pool._probe_gpus())
        assert all(isinstance(model, str) for model in listed)
        assert pool.workers == ()

        async def two() -> bytes:
            return b'["made up", "made up"]'

        pool._gpus = Gpus(two, is_likely=True)
        version = saved_models / "half_plus_two" / "1"
        workers = [await pool.spawn(M1, version) for _ in range(3)]
        assert [worker.device for worker in workers] == ["GPU:0", "GPU:1", "GPU:0"]
        workers[1].kill("to see what becomes of it")
        await workers[1].died
        assert (await pool.spawn(M1, version)).device == "GPU:1"
    finally:
        await pool.close()
    assert pool._occupants == []
