"""Which engine a kernel gets: its Jupyter server's, a found one, or its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from jupyter_tfserve.engine.connection import Connection, write_connection
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.discovery import Discovery, FoundEngine, JupyterEngine, KernelEngine, Ports
from tests.notebook.http_stand_in import serve_stand_in

SERVER_PID = 4242
FREE = Ports(-1, -1)


@pytest.fixture
def runtime(kernel_home):
    folder = kernel_home / "runtime"
    folder.mkdir()
    return folder


@pytest.fixture
def jupyter(runtime, monkeypatch):
    """A Jupyter server that owns this kernel, as far as the kernel can see."""
    with serve_stand_in() as stand_in:
        document = {"url": f"{stand_in.url}/", "token": "t", "pid": SERVER_PID}
        (runtime / f"jpserver-{SERVER_PID}.json").write_text(json.dumps(document))
        monkeypatch.setenv("JPY_PARENT_PID", str(SERVER_PID))
        yield stand_in


def write_engine(runtime, server_pid=SERVER_PID, name="tfserve-one.json"):
    """The connection file of an engine that runs: this process stands for it."""
    connection = Connection(
        pid=os.getpid(),
        create_time=psutil.Process().create_time(),
        control_url="http://127.0.0.1:1",
        token="t",
        rest_url=None,
        grpc_address=None,
        version="0",
        api_level=1,
        jupyter_server_pid=server_pid,
        owner_pid=os.getpid(),
    )
    write_connection(runtime / name, connection)
    return runtime / name


def test_jupyter_is_told_only_what_the_user_said():
    assert Ports().settings() == {}
    assert Ports(0, None, require_keys=True).settings() == {"rest_port": 0, "require_keys": True}


def test_nothing_is_found_when_nothing_runs(runtime):
    assert Discovery().find() is None


def test_jupyters_engine_is_found_when_its_extension_keeps_one(jupyter, runtime):
    path = write_engine(runtime)
    other = {"name": "other", "connection_file": str(runtime / "gone.json")}
    jupyter.answer({"engines": [other, {"name": "default", "connection_file": str(path)}]})
    engine = Discovery().find()
    assert isinstance(engine, JupyterEngine)
    assert engine.connection().pid == os.getpid()
    assert engine.jupyter_url == f"{jupyter.url}/jupyter-tfserve"
    jupyter.answer(b"", 204)
    engine.stop()
    assert (jupyter.requests[-1].method, jupyter.requests[-1].path) == (
        "DELETE",
        "/jupyter-tfserve/api/engines/default",
    )


def test_jupyter_is_asked_to_start_when_its_engine_does_not_run(jupyter, runtime):
    path = write_engine(runtime)
    jupyter.answer({"name": "default", "connection_file": str(path), "engines": [], "notes": ["port taken"]})
    engine, ran_before = Discovery().find_or_start(Ports(rest_port=9001))
    assert isinstance(engine, JupyterEngine)
    assert not ran_before
    assert engine.notes == ("port taken",)
    assert json.loads(jupyter.requests[-1].body) == {"rest_port": 9001}


def test_engine_of_this_server_is_found_when_the_api_refuses_this_kernel(jupyter, runtime):
    write_engine(runtime, server_pid=1, name="tfserve-foreign.json")
    path = write_engine(runtime)
    jupyter.answer(b"{}", 403)
    engine = Discovery().find()
    assert isinstance(engine, FoundEngine)
    assert engine.connection() is not None
    with pytest.raises(ServingError) as caught:
        engine.stop()
    assert caught.value.code is Code.PERMISSION_DENIED
    path.unlink()
    assert Discovery().find() is None


@pytest.mark.parametrize(("status", "reason"), [(404, "not installed"), (403, "does not let this kernel in")])
def test_kernel_keeps_its_own_engine_when_jupyter_cannot(jupyter, kernel_home, status, reason):
    jupyter.answer(b"{}", status)
    discovery = Discovery()
    engine, ran_before = discovery.find_or_start(FREE)
    try:
        assert isinstance(engine, KernelEngine)
        assert not ran_before
        assert any(reason in note for note in engine.notes)
        assert psutil.Process(engine.connection().pid).is_running()
        # The kernel's own engine is found first, without asking anybody.
        asked = len(jupyter.requests)
        assert discovery.find() is engine
        assert discovery.find_or_start(FREE) == (engine, True)
        assert len(jupyter.requests) == asked
    finally:
        engine.stop()
    assert discovery._own is engine
    assert not engine.is_running


def test_extensions_error_reaches_the_user_when_the_engine_does_not_start(jupyter, runtime):
    def fail_to_start():
        jupyter.answer({"error": "port 9 is taken", "code": "UNAVAILABLE", "hint": "Name another"}, 503)

    discovery = Discovery()
    fail_to_start()
    with pytest.raises(ServingError) as caught:
        discovery.find_or_start(FREE)
    assert caught.value.message == "port 9 is taken"
    assert discovery._own is None


def test_next_step_is_named_when_the_engine_has_stopped(jupyter, runtime):
    path = write_engine(runtime)
    jupyter.answer({"engines": [{"name": "default", "connection_file": str(path)}]})
    engine = Discovery().find()
    Path(path).unlink()
    with pytest.raises(ServingError) as caught:
        engine.connection()
    assert caught.value.code is Code.UNAVAILABLE
    assert "%tfserve start" in caught.value.hint
