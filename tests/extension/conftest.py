"""A Jupyter server with our extension, in the test's own event loop; its engines are the stand-in.

pytest-jupyter's fixtures are imported one by one: as a plugin it would run every test of this repository.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from jupyter_server.serverapp import ServerApp
from pytest_jupyter.jupyter_core import (  # noqa: F401
    echo_kernel_spec,
    jp_config_dir,
    jp_data_dir,
    jp_env_config_path,
    jp_env_jupyter_path,
    jp_environ,
    jp_home_dir,
    jp_kernel_dir,
    jp_runtime_dir,
    jp_system_config_path,
    jp_system_jupyter_path,
)
from pytest_jupyter.jupyter_server import (  # noqa: F401
    jp_argv,
    jp_auth_header,
    jp_base_url,
    jp_configurable_serverapp,
    jp_http_port,
    jp_logging_stream,
    jp_nbconvert_templates,
    jp_root_dir,
    jp_web_app,
)
from pytest_jupyter.pytest_tornasync import http_server, http_server_client, http_server_port  # noqa: F401

from jupyter_tfserve.engine import launch

STAND_IN = Path(__file__).with_name("stand_in_engine.py")


@pytest_asyncio.fixture
async def jp_asyncio_loop():
    """The loop that pytest-asyncio runs the test on."""
    return asyncio.get_running_loop()


@pytest.fixture
def extension_config():
    """`c.TFServe` of this test's server; tests override it."""
    return {}


@pytest.fixture
def jp_server_config(extension_config):
    """Only our extension, and every handler must authenticate."""
    return {
        "ServerApp": {
            "jpserver_extensions": {"jupyter_tfserve": True, "jupyter_server_terminals": False},
            "allow_unauthenticated_access": False,
        },
        "TFServe": {"stop_timeout_s": 5.0, **extension_config},
    }


@pytest_asyncio.fixture
async def jp_serverapp(jp_server_config, jp_argv, jp_configurable_serverapp, stand_in):  # noqa: F811
    """The server; gone with its engines after the test."""
    app = jp_configurable_serverapp(config=jp_server_config, argv=jp_argv)
    yield app
    await app._cleanup()
    ServerApp.clear_instance()


@pytest.fixture
def engine_flags():
    """Further flags of the stand-in; a test may change the list."""
    return []


@pytest.fixture
def stand_in(monkeypatch, engine_flags):
    """Engines are the stand-in from here on, on ports that nobody needs."""
    command = launch.engine_command

    def stand_in_command(*arguments):
        real = command(*arguments)
        assert real[1:4] == ["-m", "jupyter_tfserve", "serve"]
        return [sys.executable, str(STAND_IN), *real[3:], *engine_flags]

    monkeypatch.setattr(launch, "engine_command", stand_in_command)


class Api:
    """Calls our part of the Jupyter server with the token; never raises for a status, nor encodes a path."""

    def __init__(self, client, root, token_header):
        self.client, self.root, self.token_header = client, root, token_header

    async def __call__(self, method, path, body=None, *, headers=None, params=None, **arguments):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if method in ("POST", "PUT") and body is None:
            body = b""
        query = f"?{urlencode(params)}" if params else ""
        return await self.client.fetch(
            f"{self.root}{path}{query}",
            method=method,
            body=body,
            headers={**self.token_header, **(headers or {})},
            raise_error=False,
            allow_nonstandard_methods=True,
            **arguments,
        )


@pytest.fixture
def api(jp_serverapp, http_server_client, jp_auth_header, jp_base_url):  # noqa: F811
    """`await api("GET", "api/status")`"""
    return Api(http_server_client, f"{jp_base_url}jupyter-tfserve/", jp_auth_header)


@pytest.fixture
def engines(jp_serverapp):
    """The extension's engines."""
    return jp_serverapp.web_app.settings["tfserve_engines"]


@pytest_asyncio.fixture
async def running(api):
    """The default engine, started through the API."""
    response = await api("POST", "api/engines", {})
    assert response.code == 200, response.body
    return json.loads(response.body)
