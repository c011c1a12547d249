"""The Jupyter server that owns this kernel, and the engines that its extension keeps.

A kernel learns only its server's process id (`JPY_PARENT_PID`); the server's runtime file has the rest. Other
running servers are never asked: they may be somebody else's session.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from jupyter_tfserve.engine.client import error_of
from jupyter_tfserve.errors import Code, ServingError

API: Final = "jupyter-tfserve/api"
PROBE_TIMEOUT_S: Final = 5.0
START_TIMEOUT_S: Final = 120.0


class ExtensionMissing(Exception):
    """The Jupyter server cannot own an engine for this kernel; the text says why."""


@dataclass(frozen=True, slots=True)
class JupyterServer:
    """A Jupyter server as its runtime file describes it. `url` ends with a slash."""

    pid: int
    url: str
    token: str = field(repr=False)

    def engines(self) -> list[dict[str, Any]]:
        """What the extension says about its engines. `ExtensionMissing` when there is no extension to ask."""
        document = self._call("GET", "status", timeout_s=PROBE_TIMEOUT_S)
        return list(document.get("engines", ()))

    def start_engine(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The default engine, started unless it runs. ServingError when it does not come up."""
        return self._call("POST", "engines", dict(settings), timeout_s=START_TIMEOUT_S)

    def stop_engine(self, name: str) -> None:
        """The engine is gone afterwards."""
        self._call("DELETE", f"engines/{name}", timeout_s=START_TIMEOUT_S)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float
    ) -> dict[str, Any]:
        try:
            reply = httpx.request(
                method,
                f"{self.url}{API}/{path}",
                json=body,
                headers={"Authorization": f"token {self.token}"},
                timeout=timeout_s,
                # The token must not pass a proxy of the environment.
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise ExtensionMissing("the Jupyter server does not answer this kernel") from error
        return _document(reply)


def _document(reply: httpx.Response) -> dict[str, Any]:
    is_json = reply.headers.get("Content-Type", "").startswith("application/json")
    if reply.status_code == httpx.codes.NOT_FOUND and not _is_ours(reply):
        raise ExtensionMissing("the server extension is not installed in the Jupyter server's environment")
    # Jupyter sends a browser without a login to its login page, and refuses a token that it does not know.
    if reply.is_redirect or reply.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise ExtensionMissing("the Jupyter server does not let this kernel in")
    if not reply.is_success:
        raise error_of(reply.status_code, reply.content)
    if reply.status_code == httpx.codes.NO_CONTENT:
        return {}
    document = reply.json() if is_json else None
    if not isinstance(document, dict):
        raise ServingError(Code.INTERNAL, "The Jupyter server's answer is not understood.")
    return document


def _is_ours(reply: httpx.Response) -> bool:
    """Whether the extension wrote this answer: its errors carry a canonical code, Jupyter's do not."""
    try:
        document = reply.json()
    except ValueError:
        return False
    return isinstance(document, dict) and "code" in document


def find_jupyter_server(environment: Mapping[str, str], runtime_directory: Path) -> JupyterServer | None:
    """The server that started this kernel; None under nbconvert, plain IPython and other front ends."""
    pid = environment.get("JPY_PARENT_PID", "")
    if not pid.isascii() or not pid.isdigit():
        return None
    try:
        document = json.loads((runtime_directory / f"jpserver-{pid}.json").read_text(encoding="utf-8"))
        url, token = document["url"], document.get("token") or ""
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # A hub's server has no token of its own; the user's hub token opens it.
    token = token or environment.get("JUPYTERHUB_API_TOKEN", "")
    return JupyterServer(int(pid), url.rstrip("/") + "/", token)


def this_kernels_server() -> JupyterServer | None:
    """`find_jupyter_server` for the running process."""
    from jupyter_core.paths import jupyter_runtime_dir

    return find_jupyter_server(os.environ, Path(jupyter_runtime_dir()))
