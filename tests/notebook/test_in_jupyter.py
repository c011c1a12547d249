"""A kernel's handle under a real Jupyter server with our extension: its engine, its proxy, its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from jupyter_tfserve.notebook.api import connect
from jupyter_tfserve.notebook.discovery import Discovery

ROOT = Path(__file__).parents[2]
CONFIG = {"ServerApp": {"jpserver_extensions": {"jupyter_tfserve": True}, "token": "hush"}}
START_TIMEOUT_S = 60


@pytest.fixture
def jupyter_server(kernel_home, models_folder, monkeypatch):
    """A running Jupyter server, which this process takes for the one that started it."""
    config = kernel_home / "config"
    config.mkdir()
    (config / "jupyter_server_config.json").write_text(json.dumps(CONFIG))
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(config), "PYTHONPATH": str(ROOT)}
    folder = models_folder.parent
    flags = ["--no-browser", "--allow-root", "--ServerApp.port=0", f"--ServerApp.root_dir={folder}"]
    log = (kernel_home / "log").open("wb")
    command = [sys.executable, "-m", "jupyter_server", *flags]
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    monkeypatch.setenv("JPY_PARENT_PID", str(process.pid))
    described = kernel_home / "runtime" / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + START_TIMEOUT_S
    while not described.exists():
        assert process.poll() is None, (kernel_home / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield process
    process.terminate()
    process.wait(60)
    log.close()


@pytest.mark.slow
def test_kernel_uses_its_jupyter_servers_engine_when_there_is_one(jupyter_server, kernel_home, models_folder):
    server = connect(models_folder / "version", discovery=Discovery())
    status = server.status()
    assert status.owner == "the Jupyter server"
    engine = psutil.Process(status.engine.pid)
    assert engine.ppid() == jupyter_server.pid
    np.testing.assert_array_equal(server.query("version/3", [[0.0]])["version"], [3])

    # Another kernel of the same server finds the same engine.
    assert connect(discovery=Discovery()).state().engine.pid == status.engine.pid

    # The address that the status shows answers through Jupyter, with Jupyter's token only.
    url = f"{status.jupyter_url}/v1/models/version:predict"
    body = {"instances": [[0.0]]}
    headers = {"Authorization": "token hush"}
    assert httpx.post(url, json=body, headers=headers, trust_env=False).json().keys() == {"predictions"}
    assert httpx.post(url, json=body, trust_env=False).status_code in (302, 403)

    # What a notebook is saved with, and may be sent around with, opens neither Jupyter nor the engine.
    files = (kernel_home / "runtime").glob("tfserve-*.json")
    secrets = {"hush", *(json.loads(file.read_text())["token"] for file in files)}
    answers = (server, server.history(), server.doctor(), server.snippets())
    saved = [str(answer._repr_mimebundle_()) for answer in answers] + [server.logs()]
    assert len(secrets) == 2
    assert not [text for text in saved if any(secret in text for secret in secrets)]

    server.stop()
    psutil.wait_procs([engine], timeout=20)
    assert not engine.is_running()
    assert Discovery().find() is None
