"""A real Jupyter server with our extension, in a process of its own, spoken to with its token."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[2]
CONFIG = {"ServerApp": {"jpserver_extensions": {"jupyter_tfserve": True}, "token": "hush"}}
START_DEADLINE_S = 120.0


class JupyterProcess:
    """Serves `models`' parent; its own folders lie in `home`."""

    def __init__(self, home: Path, models: Path) -> None:
        self.models = models
        self.runtime = home / "runtime"
        (home / "config").mkdir(parents=True, exist_ok=True)
        (home / "config" / "jupyter_server_config.json").write_text(json.dumps(CONFIG))
        self._log = home / "log"
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "IPYTHONDIR": str(home / "ipython"),
            "PYTHONPATH": str(ROOT),
        }
        flags = [
            "--no-browser",
            "--allow-root",
            "--ServerApp.port=0",
            f"--ServerApp.root_dir={models.parent}",
        ]
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "jupyter_server", *flags]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.http = httpx.Client(
            base_url=self._url(), headers={"Authorization": "token hush"}, timeout=120, trust_env=False
        )

    def call(self, method: str, path: str, /, **body: Any) -> Any:
        """Jupyter's own API; an engine's below `jupyter-tfserve/api`."""
        answer = self.http.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def serve(self, model: str, version: int) -> dict[str, Any]:
        """An engine on free ports, once it serves that version."""
        engine = self.call("POST", "jupyter-tfserve/api/engines", rest_port=-1, grpc_port=-1)
        control = "jupyter-tfserve/api/engines/default/control"
        self.call("POST", f"{control}/open", path=str(self.models / model))
        self.call("GET", f"{control}/models/{model}/versions/{version}/wait?timeout_s=60")
        return dict(engine)

    def tfserve_processes(self) -> list[psutil.Process]:
        """All of ours that it has started, whoever's children they are by now: they have its folders."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                mine = process.environ().get("JUPYTER_RUNTIME_DIR") == str(self.runtime)
                if mine and "jupyter_tfserve" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def close(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)

    def _url(self) -> str:
        described = self.runtime / f"jpserver-{self.process.pid}.json"
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            with contextlib.suppress(OSError, ValueError):
                return str(json.loads(described.read_text())["url"])
            time.sleep(0.02)
