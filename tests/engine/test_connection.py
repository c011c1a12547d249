"""The connection file: private, whole, and never believed when it is stale or not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import psutil
import pytest

from jupyter_tfserve.engine.connection import (
    Connection,
    is_alive,
    list_connections,
    new_connection_path,
    read_connection,
    remove_connection,
    runtime_directory,
    write_connection,
)
from jupyter_tfserve.errors import Code, ServingError


@pytest.fixture
def connection():
    me = psutil.Process()
    return Connection(
        pid=me.pid,
        create_time=me.create_time(),
        control_url="http://127.0.0.1:1",
        token="secret",
        rest_url="http://127.0.0.1:8501",
        grpc_address=None,
        version="0.1.0",
        api_level=1,
        jupyter_server_pid=None,
        owner_pid=me.ppid(),
    )


def test_connection_survives_the_file(tmp_path, connection):
    path = tmp_path / "runtime" / "tfserve-a.json"
    write_connection(path, connection)
    assert read_connection(path) == connection


def test_connection_file_is_private_and_alone_when_written(tmp_path, connection):
    path = tmp_path / "tfserve-a.json"
    old_mask = os.umask(0)
    try:
        write_connection(path, connection)
    finally:
        os.umask(old_mask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == [path.name]


def test_connection_file_keeps_its_old_content_when_the_write_fails(tmp_path, connection, monkeypatch):
    path = tmp_path / "tfserve-a.json"
    write_connection(path, connection)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ServingError, match="No space left on device"):
        write_connection(path, replace(connection, version="2"))
    assert read_connection(path) == connection
    assert os.listdir(tmp_path) == [path.name]


def test_connection_repr_hides_the_token(connection):
    assert "secret" not in repr(connection)


def test_read_connection_says_not_found_when_there_is_no_file(tmp_path):
    with pytest.raises(ServingError) as caught:
        read_connection(tmp_path / "tfserve-a.json")
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "1"},
        {"pid": True},
        {"token": None},
        {"control_url": 7},
        {"rest_url": 7},
        {"create_time": "then"},
    ],
)
def test_read_connection_says_data_loss_when_a_field_has_another_type(tmp_path, connection, change):
    path = tmp_path / "tfserve-a.json"
    path.write_text(json.dumps({**asdict(connection), **change}))
    with pytest.raises(ServingError) as caught:
        read_connection(path)
    assert caught.value.code is Code.DATA_LOSS


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b" " * 100_000 + b"{}"])
def test_read_connection_says_data_loss_when_the_content_is_no_connection(tmp_path, content):
    path = tmp_path / "tfserve-a.json"
    path.write_bytes(content)
    with pytest.raises(ServingError) as caught:
        read_connection(path)
    assert caught.value.code is Code.DATA_LOSS


def test_read_connection_ignores_fields_of_newer_engines(tmp_path, connection):
    path = tmp_path / "tfserve-a.json"
    path.write_text(json.dumps({**asdict(connection), "shiny": 1}))
    assert read_connection(path) == connection


def test_read_connection_refuses_a_link(tmp_path, connection):
    target = tmp_path / "elsewhere"
    write_connection(target, connection)
    path = tmp_path / "tfserve-a.json"
    path.symlink_to(target)
    with pytest.raises(ServingError) as caught:
        read_connection(path)
    assert caught.value.code is Code.PERMISSION_DENIED


def test_read_connection_returns_at_once_when_it_meets_a_pipe(tmp_path):
    path = tmp_path / "tfserve-a.json"
    os.mkfifo(path)
    with pytest.raises(ServingError) as caught:
        read_connection(path)
    assert caught.value.code is Code.PERMISSION_DENIED


def test_read_connection_refuses_a_file_of_another_user(tmp_path, connection, monkeypatch):
    path = tmp_path / "tfserve-a.json"
    write_connection(path, connection)
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ServingError) as caught:
        read_connection(path)
    assert caught.value.code is Code.PERMISSION_DENIED


def test_remove_connection_leaves_the_file_when_another_engine_owns_it(tmp_path, connection):
    path = tmp_path / "tfserve-a.json"
    write_connection(path, connection)
    remove_connection(path, connection.pid + 1)
    assert path.exists()
    remove_connection(path, connection.pid)
    assert not path.exists()


def test_engine_is_alive_only_when_pid_and_create_time_agree(connection):
    assert is_alive(connection)
    assert not is_alive(replace(connection, create_time=connection.create_time - 60))


def test_engine_is_not_alive_when_it_is_a_zombie(connection):
    with subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE) as child:
        created = psutil.Process(child.pid).create_time()
        child.stdout.read()  # the end of file comes as it exits; nobody has waited for it yet
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        os.kill(child.pid, 0)  # a plain look at the pid says alive
        assert not is_alive(replace(connection, pid=child.pid, create_time=created))


def test_list_connections_drops_the_dead_and_keeps_the_unreadable(tmp_path, connection):
    alive, dead, damaged = (tmp_path / f"tfserve-{name}.json" for name in ("alive", "dead", "damaged"))
    write_connection(alive, connection)
    write_connection(dead, replace(connection, create_time=1.0))
    damaged.write_text("{")
    assert list_connections(tmp_path) == [(alive, connection)]
    assert sorted(os.listdir(tmp_path)) == ["tfserve-alive.json", "tfserve-damaged.json"]


def test_new_connection_path_lies_in_jupyters_runtime_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    path = new_connection_path()
    assert path.parent == runtime_directory() == tmp_path / "runtime"
    assert path.match("tfserve-*.json")
    assert path != new_connection_path()
    assert path.parent.stat().st_mode & 0o777 == 0o700
