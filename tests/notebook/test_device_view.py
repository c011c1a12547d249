"""GPUs and replicas as a person reads them."""

from __future__ import annotations

import pytest

from jupyter_tfserve.engine.client_state import Device, EngineState, Replica, VersionState, parse_state
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.arguments import parse_line
from jupyter_tfserve.notebook.device_view import describe_device, describe_replicas
from jupyter_tfserve.notebook.doctor import Health, check_gpu
from jupyter_tfserve.notebook.surroundings import Surroundings
from jupyter_tfserve.notebook.views import Model, Status, version_view

H200 = Device("GPU:0", "NVIDIA H200", 140 * 2**30, 7 * 2**30)
ENGINE = EngineState(1, "1.0", 1, 0.0, None, None, True)


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ([], ""),
        (["CPU"], ""),
        (["CPU", "CPU"], "2 processes on CPU"),
        (["GPU:0"], "1 process on GPU:0"),
        (["GPU:1", "GPU:0"], "2 processes on GPU:0, GPU:1"),
        (["GPU:0", "GPU:1", "GPU:0"], "3 processes on GPU:0 (2), GPU:1"),
    ],
)
def test_replicas_are_told_when_they_are_not_one_process_on_the_cpu(devices, expected):
    assert describe_replicas([Replica(number, device) for number, device in enumerate(devices)]) == expected


def test_status_shows_gpus_and_replicas_when_there_are_some():
    assert describe_device(Device("GPU:0", "NVIDIA H200")) == "NVIDIA H200"
    replicas = (Replica(5, "GPU:0"), Replica(6, "GPU:1"))
    version = version_view("m", VersionState(1, "AVAILABLE", replicas=replicas), {"live": 1})
    engine = EngineState(1, "1.0", 1, 0.0, None, None, True, devices=(H200,))
    status = Status(engine, (Model("m", "/m", "latest 1", (version,)),), "this kernel")
    assert "  GPU:0    NVIDIA H200, 7.0 of 140.0 GiB used" in str(status)
    assert "   1  AVAILABLE  2 processes on GPU:0, GPU:1  <- live" in str(status)
    html = status._repr_mimebundle_()["text/html"]
    assert "NVIDIA H200" in html
    assert "2 processes on GPU:0, GPU:1" in html


def test_state_is_read_when_it_has_devices_and_replicas_and_when_it_has_not():
    engine = {"pid": 1, "version": "1", "api_level": 1, "started": 0.0, "ready": True, "rest_url": None}
    version = {"version": 3, "state": "AVAILABLE"}
    model = {"name": "m", "base_path": "/m", "versions": [version]}
    old = parse_state({"engine": engine, "models": [model]})
    assert (old.engine.devices, old.models[0].versions[0].replicas, old.models[0].replicas) == ((), (), None)
    device = {"name": "GPU:0", "model": "NVIDIA H200", "memory_bytes": 140 * 2**30, "used_bytes": 7 * 2**30}
    model = {**model, "replicas": 0, "versions": [{**version, "replicas": [{"pid": 4, "device": "GPU:0"}]}]}
    new = parse_state({"engine": {**engine, "devices": [device]}, "models": [model]})
    assert new.engine.devices == (H200,)
    assert (new.models[0].replicas, new.models[0].versions[0].replicas) == (0, (Replica(4, "GPU:0"),))


@pytest.mark.parametrize(
    ("facts", "health", "text"),
    [
        (Surroundings(engine=ENGINE), Health.GOOD, "none here"),
        (Surroundings(engine=ENGINE, gpu_processes=()), Health.NOTE, "TensorFlow has found no GPU"),
        (
            Surroundings(
                engine=EngineState(1, "1", 1, 0.0, None, None, True, devices=(H200,)), gpu_processes=()
            ),
            Health.GOOD,
            "NVIDIA H200, 7.0 of 140.0 GiB used",
        ),
    ],
)
def test_doctor_tells_of_gpus_when_asked(facts, health, text):
    (finding,) = check_gpu(facts)
    assert (finding.health, text in finding.text) == (health, True)


@pytest.mark.parametrize(("word", "count"), [("3", 3), ("gpus", 0), ("default", None)])
def test_replicas_line_is_a_count_when_it_is_written_so(word, count):
    assert parse_line(f"replicas {word} --model m") == ("replicas", {"count": count, "model": "m"})


@pytest.mark.parametrize("word", ["0", "-1", "many", "1.5"])
def test_replicas_line_is_refused_when_it_is_no_count(word):
    with pytest.raises(ServingError):
        parse_line(f"replicas {word}")
