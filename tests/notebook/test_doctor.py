"""The doctor: each illness is found and has its fix, health is not called illness."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_tfserve.engine.client_state import Device, EngineState
from jupyter_tfserve.notebook.api import doctor
from jupyter_tfserve.notebook.discovery import Discovery
from jupyter_tfserve.notebook.doctor import Health, diagnose
from jupyter_tfserve.notebook.surroundings import GpuProcess, Surroundings
from jupyter_tfserve.notebook.views import Model, Version

ENGINE = EngineState(7, "1.0", 1, 0.0, "http://127.0.0.1:8501", "127.0.0.1:8500", True)
WITH_GPU = replace(ENGINE, devices=(Device("GPU:0", "NVIDIA H200"),))
HEALTHY = {
    "engine": ENGINE,
    "owner": "this kernel",
    "ports": (("REST", 8501, 8501), ("gRPC", 8500, 8500)),
    "cpu_count": 4,
    "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
}


def findings(**facts):
    return diagnose(Surroundings(**{**HEALTHY, **facts})).findings


def model(*versions, labels=None, problem=""):
    return Model("m", "/models/m", "latest 1", versions, labels or {}, "", problem)


def test_nothing_is_wrong_when_all_is_well():
    assert {finding.health for finding in findings()} == {Health.GOOD}


@pytest.mark.parametrize(
    ("facts", "health", "text", "fix"),
    [
        ({"engine": None}, Health.NOTE, "no model server runs", "%tfserve start"),
        ({"engine_problem": "it died"}, Health.BAD, "it died", "%tfserve logs"),
        (
            {"models": (model(Version("m", 2, "END", error="UNKNOWN: broken")),)},
            Health.BAD,
            "version 2 does not load: UNKNOWN: broken",
            "save it again",
        ),
        ({"models": (model(problem="no folder"),)}, Health.BAD, "no folder", "/models/m"),
        (
            {"models": (model(Version("m", 2, "AVAILABLE"), labels={"production": 1}),)},
            Health.BAD,
            "label production names version 1, which is not served",
            "%tfserve load 1 --model m",
        ),
        (
            {"ports": (("REST", 8501, 40001),), "port_holders": {8501: "java (process 9)"}},
            Health.NOTE,
            "40001, since java (process 9) has 8501",
            "--rest-port 8501",
        ),
        (
            {"ports": (("gRPC", 8500, None),), "port_holders": {8500: "java"}},
            Health.NOTE,
            "8500 is taken by java",
            "end java",
        ),
        (
            {"engine": WITH_GPU, "gpu_processes": (GpuProcess(5, 40_000),), "own_pid": 5},
            Health.BAD,
            "this kernel holds 40000 MiB",
            "TF_FORCE_GPU_ALLOW_GROWTH",
        ),
        (
            {"engine": WITH_GPU, "gpu_processes": (GpuProcess(6, 40_000),)},
            Health.BAD,
            "process 6 holds",
            "restart that kernel",
        ),
        ({"cpu_quota": 2.0, "cpu_count": 64}, Health.NOTE, "2 of the 64 CPUs", "parallelism_threads(2)"),
        ({"packages": {}}, Health.BAD, "not installed", "%pip install tensorflow"),
        ({"packages": {"tensorflow": "2.9.1"}}, Health.BAD, "2.9.1 is older than 2.18", "tensorflow>=2.18"),
        (
            {"packages": {"tensorflow": "2.21.0", "keras": "2.15.0"}},
            Health.BAD,
            "2.15.0 has no `export`",
            "keras>=3",
        ),
        (
            {"environment": {"TF_USE_LEGACY_KERAS": "1"}},
            Health.BAD,
            "tf_keras is not",
            "%pip install tf_keras",
        ),
        ({"environment": {"HTTP_PROXY": "http://p:3128"}}, Health.BAD, "to the proxy", "no_proxy=127.0.0.1"),
        ({"jupyter_problem": "no extension"}, Health.NOTE, "keeps its own engine: no extension", "install"),
        (
            {
                "jupyter_url": "http://h/user/old/jupyter-tfserve",
                "environment": {"JUPYTERHUB_SERVICE_PREFIX": "/user/new/"},
            },
            Health.BAD,
            "the hub's prefix is /user/new/",
            "control panel",
        ),
        (
            {"stale_files": (Path("/run/tfserve-1.json"),)},
            Health.NOTE,
            "tfserve-1.json",
            "/run/tfserve-1.json",
        ),
    ],
)
def test_illness_is_found_with_its_fix_when_there_is_one(facts, health, text, fix):
    ill = [finding for finding in findings(**facts) if finding.health is not Health.GOOD]
    assert len(ill) == 1, ill
    assert ill[0].health is health
    assert text in ill[0].text
    assert fix in ill[0].fix


@pytest.mark.parametrize(
    "facts",
    [
        {
            "engine": WITH_GPU,
            "gpu_processes": (GpuProcess(8, 40_000), GpuProcess(5, 200)),
            "engine_pids": frozenset({8}),
        },
        {"cpu_quota": 4.0},
        {"environment": {"http_proxy": "http://p", "no_proxy": "example.org, localhost"}},
        {"environment": {"TF_USE_LEGACY_KERAS": "1"}, "packages": {"tensorflow": "2.18", "tf_keras": "2.18"}},
        {
            "jupyter_url": "http://h/user/ann/jupyter-tfserve",
            "environment": {"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"},
        },
        {"packages": {"tensorflow": "2.22.0rc1"}},
    ],
)
def test_health_is_not_called_illness_when_it_looks_alike(facts):
    assert all(finding.health is Health.GOOD for finding in findings(**facts))


def test_problems_come_first_when_shown():
    diagnosis = diagnose(Surroundings(**{**HEALTHY, "packages": {}, "models": (model(problem="<b>"),)}))
    assert [finding.subject for finding in diagnosis.problems] == ["model m", "TensorFlow"]
    shown = diagnosis._repr_mimebundle_()
    assert shown["text/plain"].startswith("problem  model m: <b>\n         Fix: ")
    assert "<b>" not in shown["text/html"]


def test_running_server_is_found_well_when_it_is(server):
    diagnosis = server.doctor()
    (engine,) = [finding for finding in diagnosis.findings if finding.subject == "server"]
    assert engine.health is Health.GOOD
    assert str(server.state().engine.pid) in engine.text


def test_doctor_works_when_no_server_runs(kernel_home):
    diagnosis = doctor(Discovery(kernel_home, ask_jupyter=False))
    assert "no model server runs" in str(diagnosis)
