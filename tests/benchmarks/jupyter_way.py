"""What the way through a Jupyter server costs: the proxied port beside the direct one."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.calls import Call, check, rest_predict
from tests.benchmarks.figures import spread, turns
from tests.benchmarks.lab import Lab
from tests.benchmarks.models import Model
from tests.benchmarks.serving import running, wait_for

_TOKEN = "benchmark"


def through_jupyter(lab: Lab) -> dict[str, Any]:
    """p50 at one connection by the direct port and through a Jupyter server, in turns."""
    model = lab.model("three_floats")
    with _jupyter(lab, model) as (proxied, direct):
        check(proxied, model.expected)
        taken: dict[str, list[float]] = {"direct": [], "through Jupyter": []}
        asked = {"direct": direct, "through Jupyter": proxied}
        for name in turns(list(asked), lab.pace.repetitions):
            taken[name].append(lab.closed([asked[name]], 1).p50_ms)
    pairs = zip(taken["through Jupyter"], taken["direct"], strict=True)
    medians = {f"p50 {name}, ms": spread(values).median for name, values in taken.items()}
    return {**medians, "difference, ms": asdict(spread([one - other for one, other in pairs]))}


@contextlib.contextmanager
def _jupyter(lab: Lab, model: Model) -> Iterator[tuple[Call, Call]]:
    """A Jupyter server that serves the model: the call through it, and the one past it."""
    home = lab.setting.folder / "jupyter"
    (home / "config").mkdir(parents=True)
    extensions = {"jpserver_extensions": {"jupyter_tfserve": True}, "token": _TOKEN}
    (home / "config" / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": extensions}))
    told = {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    told |= {"JUPYTER_DATA_DIR": str(home / "data")}
    flags = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={model.path.parent}",
    ]
    command = [sys.executable, "-m", "jupyter_server", *flags]
    with running(command, home / "log", lab.setting.cores.server, told) as process:
        described = home / "runtime" / f"jpserver-{process.pid}.json"
        url = wait_for(lambda: _url_in(described), "the Jupyter server did not start").rstrip("/")
        headers = {"Authorization": f"token {_TOKEN}", "Content-Type": "application/json"}
        with httpx.Client(headers=headers, timeout=120, trust_env=False) as client:
            api = f"{url}/jupyter-tfserve/api/engines"
            wait_for(lambda: _answers(client, api), "the Jupyter server did not answer")
            engine = client.post(api, json={"rest_port": -1, "grpc_port": -1}).raise_for_status().json()
            client.post(f"{api}/default/control/open", json={"path": model.name}).raise_for_status()
        through = rest_predict(f"{url}/jupyter-tfserve", model.name, model.row)
        yield (
            Call(through.url, through.body, through.read, headers),
            rest_predict(engine["rest_url"], model.name, model.row),
        )


def _url_in(described: Path) -> str:
    """The server's own word on where it is; "" until it is written whole."""
    try:
        return str(json.loads(described.read_text())["url"])
    except (OSError, ValueError):
        return ""


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == 200
    except httpx.TransportError:
        return False
