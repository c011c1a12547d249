"""`jupyter tfserve demo`: the check, the work folder, and JupyterLab with nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import psutil
import pytest

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook import demo
from jupyter_tfserve.notebook.demo_models import MODEL_NAME, make_data

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from jupyter_tfserve.notebook.demo import run_demo; sys.exit(run_demo(sys.argv[1:]))"


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    demo.prepare(folder)
    return folder


def start_demo(home, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(home / "config")}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


@pytest.mark.slow
def test_check_agrees_over_both_protocols_when_run(kernel_home, demo_folder):
    process = start_demo(kernel_home, "--check", "--dir", str(demo_folder))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "All answers agree" in output
    assert re.search(r"version 2: \[[-.\d, ]+\] over REST, \[[-.\d, ]+\] over gRPC", output)
    assert list((kernel_home / "runtime").glob("tfserve-*.json")) == []


@pytest.mark.slow
def test_folder_holds_both_versions_and_the_notebooks_when_prepared(demo_folder):
    base = demo_folder / "saved_models" / MODEL_NAME
    assert sorted(path.name for path in base.iterdir()) == ["1", "2"]
    assert all((base / version / "saved_model.pb").is_file() for version in "12")
    notebooks = {path.name: path.read_bytes() for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.name: path.read_bytes() for path in demo_folder.glob("*.ipynb")} == notebooks


@pytest.mark.slow
def test_own_changes_are_kept_when_prepared_again(demo_folder):
    notebook = demo_folder / demo.NOTEBOOK
    before = notebook.read_bytes()
    model = demo_folder / "saved_models" / MODEL_NAME / "1" / "saved_model.pb"
    made = model.stat().st_mtime_ns
    notebook.write_bytes(b"mine")
    demo.prepare(demo_folder)
    assert notebook.read_bytes() == b"mine"
    assert model.stat().st_mtime_ns == made
    notebook.write_bytes(before)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, demo.TERMINATED), (signal.SIGINT, 130)])
def test_lab_opens_the_notebook_and_is_gone_when_the_demo_is_ended(kernel_home, demo_folder, number, status):
    pytest.importorskip("jupyterlab")
    arguments = ["--no-browser", "--dir", str(demo_folder), "--", "--ServerApp.port=0"]
    process = start_demo(kernel_home, *arguments)
    watchdog = threading.Timer(200, process.kill)
    watchdog.start()
    try:
        url = next(line.split()[1] for line in process.stdout if line.startswith("Open http"))
        assert f"/lab/tree/{demo.NOTEBOOK}?token=" in url
        contents = url.replace("/lab/tree/", "/api/contents/")
        reply = httpx.get(contents, timeout=30, trust_env=False)
        assert reply.json()["name"] == demo.NOTEBOOK
        lab = psutil.Process(process.pid).children()
        process.send_signal(number)
        for _ in process.stdout:
            pass
        assert process.wait(30) == status
        gone, alive = psutil.wait_procs(lab, timeout=30)
        assert gone
        assert not alive
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    ("is_root", "given", "passed"),
    [(True, [], 1), (True, ["--allow-root"], 1), (False, [], 0), (False, ["--allow-root"], 1)],
)
def test_lab_may_run_as_root_when_the_demo_does(monkeypatch, capfd, tmp_path, is_root, given, passed):
    monkeypatch.setattr(demo, "_is_root", lambda: is_root)
    command = demo._lab_command(tmp_path, [*given, "--x"], browser=True)
    assert command.count("--allow-root") == passed
    assert command[-1] == "--x"
    assert ("You are root" in capfd.readouterr().out) == (is_root and not given)


def test_reason_is_one_line_when_jupyterlab_does_not_start(kernel_home, monkeypatch, capfd):
    monkeypatch.setattr(demo, "prepare", lambda folder: folder.mkdir())
    monkeypatch.setattr(demo, "_is_missing", lambda package: False)
    monkeypatch.setattr(
        demo, "_lab_command", lambda *_, browser: ["sh", "-c", "echo first; echo no port; exit 1"]
    )
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert demo.run_demo(["--dir", str(kernel_home / "d")]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capfd.readouterr().err == "jupyter tfserve demo: JupyterLab did not start: no port\n"


def test_reason_is_one_line_when_models_cannot_be_made(kernel_home, monkeypatch, capfd):
    monkeypatch.setattr(demo.sys, "executable", "/bin/false")
    assert demo.run_demo(["--check", "--dir", str(kernel_home / "d")]) == 1
    shown = capfd.readouterr().err
    assert shown == "jupyter tfserve demo: The models could not be made: it ended without a word\n"


def test_notebooks_are_found_in_a_checkout_when_the_package_has_none():
    assert demo.find_notebooks() == ROOT / "notebooks"


def test_missing_notebook_is_named_when_the_installation_lacks_it(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "a" / "b" / "demo.py"))
    with pytest.raises(ServingError, match=demo.NOTEBOOK):
        demo.find_notebooks()
    installed = tmp_path / "a" / "b" / "notebooks"
    installed.mkdir(parents=True)
    (installed / demo.NOTEBOOK).write_text("{}")
    assert demo.find_notebooks() == installed


def test_data_is_the_same_each_time_when_made():
    x, y = make_data()
    again, _ = make_data()
    assert x.shape == y.shape == (200, 1)
    assert x.tobytes() == again.tobytes()
