"""What an engine is started with: its ports, command line, environment and state folder."""

from __future__ import annotations

import asyncio
import socket

import pytest

from jupyter_tfserve.engine import launch
from jupyter_tfserve.engine.engine_process import engine_environment
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.worker.huge_pages import with_huge_pages


def test_engine_environment_holds_no_jupyter_secret():
    kept = engine_environment({"PATH": "p", "JUPYTER_TOKEN": "t", "JUPYTERHUB_API_TOKEN": "h"})
    assert kept == with_huge_pages({"PATH": "p"})


@pytest.fixture
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_choose_ports_names_the_port_when_a_named_one_is_taken(taken_port):
    with pytest.raises(ServingError, match=f"port {taken_port} is taken"):
        launch.choose_ports(launch.LaunchOptions(rest_port=taken_port))


def test_choose_ports_falls_back_and_says_so_when_a_default_one_is_taken(taken_port, monkeypatch):
    monkeypatch.setattr(launch, "DEFAULT_REST_PORT", taken_port)
    ports = launch.choose_ports(launch.LaunchOptions(grpc_port=0))
    assert (ports.rest_port, ports.grpc_port) == (-1, 0)
    assert ports.notes == (f"port {taken_port} is taken by another program; REST got a free port",)


def test_engine_command_asks_for_the_last_runs_ports(tmp_path):
    ports = launch.Ports(1, 2)
    command = launch.engine_command(
        launch.LaunchOptions(arguments=("--x=1",)), ports, tmp_path / "c", tmp_path
    )
    assert command[1:4] == ["-m", "jupyter_tfserve", "serve"]
    expected = {"--rest_api_port=1", "--port=2", f"--connection_file={tmp_path / 'c'}", "--exit_with_parent"}
    assert expected <= set(command)
    assert command[-1] == "--x=1"


async def test_state_dir_is_private_and_never_shared_by_two_engines(tmp_path):
    path = tmp_path / "state"
    first = await launch.hold_state_dir(path, wait_s=0)
    second = await launch.hold_state_dir(path, wait_s=0)
    assert first.path == path
    assert path.stat().st_mode & 0o777 == 0o700
    assert second.path == tmp_path / "state-2"
    waiting = asyncio.create_task(launch.hold_state_dir(path, wait_s=20))
    await asyncio.sleep(0)
    first.release()
    third = await waiting
    assert third.path == path
    second.release()
    third.release()


def test_state_path_is_the_same_for_two_spellings_of_one_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "work").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "work")
    path = launch.state_path(tmp_path / "work")
    assert path == launch.state_path(tmp_path / "link")
    assert path.parent == tmp_path / "data" / "tfserve"
    assert path != launch.state_path(tmp_path / "work", "second") != launch.state_path(tmp_path)
