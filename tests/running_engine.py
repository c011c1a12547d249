"""An engine as a process of its own, started by the real command and spoken to over its real ports."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from jupyter_tfserve.engine.connection import Connection, read_connection

START_DEADLINE_S = 120


class RunningEngine:
    """One engine process and a client for its ports."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, connection: Connection) -> None:
        self.process = process
        self.log = log
        self.connection = connection
        self.control = httpx.Client(
            base_url=connection.control_url,
            headers={"Authorization": f"Bearer {connection.token}"},
            timeout=60,
            trust_env=False,
        )
        self.rest = httpx.Client(base_url=connection.rest_url or "http://off", timeout=60, trust_env=False)

    def predict(self, model: str, **body: Any) -> Any:
        answer = self.rest.post(f"/v1/models/{model}:predict", content=json.dumps(body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def version_states(self, model: str) -> dict[int, str]:
        state = self.control.get("/control/state").json()
        (found,) = [entry for entry in state["models"] if entry["name"] == model]
        return {version["version"]: version["state"] for version in found["versions"]}

    def wait_version(self, model: str, version: int) -> dict[str, Any]:
        answer = self.control.get(f"/control/models/{model}/versions/{version}/wait?timeout_s=60")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def worker_pid(self, model: str, version: int) -> int:
        return int(self.wait_version(model, version)["pid"])

    def call(self, method: str, path: str, /, **body: Any) -> Any:
        answer = self.control.request(method, path, content=json.dumps(body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(30)
        self.control.close()
        self.rest.close()
        return code


def launch(
    file: Path,
    log: Path,
    *arguments: str,
    defaults: Mapping[str, object],
    stdin: int = subprocess.DEVNULL,
) -> RunningEngine:
    """What `jupyter_tfserve ARGUMENTS` starts, once its ports answer; killed if they never do.

    `defaults` are flags that count unless `arguments` name them; ports are free ones. The connection file is `file`.
    """
    named = {argument.partition("=")[0] for argument in arguments}
    wanted = {"--port": -1, "--rest_api_port": -1, **defaults}
    others = [f"{name}={value}" for name, value in wanted.items() if name not in named]
    command = [sys.executable, "-m", "jupyter_tfserve", *arguments, *others, f"--connection_file={file}"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdin=stdin, stdout=stream, stderr=stream)
    deadline = time.monotonic() + START_DEADLINE_S
    try:
        while not file.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        return RunningEngine(process, log, read_connection(file))
    except BaseException:
        process.kill()
        process.wait()
        raise
