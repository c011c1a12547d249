"""Starting and stopping real engines: what is said when it cannot be, what is served when it can."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import psutil
import pytest

from jupyter_tfserve._version import __version__
from jupyter_tfserve.codec.protos import GetModelStatusRequest, ModelServiceStub
from tests.contract.engines import config_text

FAIL_DEADLINE_S = 120
"""Generous: a refused start takes about a second on a quiet machine."""
MAX_IDLE_BYTES = 80 * 2**20


def serve(*flags: str) -> subprocess.CompletedProcess[str]:
    """A server that is expected to end by itself, and to leave no process behind."""
    command = [sys.executable, "-m", "jupyter_tfserve", "serve", *flags]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=FAIL_DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert members_of_session(process.pid) == []
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def members_of_session(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# What does not start


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("rest_api_port", r"UNAVAILABLE: HTTP port {port} is already in use on 127\.0\.0\.1"),
        ("port", r"UNAVAILABLE: gRPC port {port} is already in use"),
    ],
)
def test_taken_port_is_named_and_nothing_is_left(
    saved_models: Path, taken_port: int, tmp_path: Path, flag: str, message: str
) -> None:
    ports = {"rest_api_port": -1, "port": -1, flag: taken_port}
    flags = [f"--{name}={port}" for name, port in ports.items()]
    connection_file = tmp_path / "connection.json"
    folder = saved_models / "half_plus_two"
    done = serve(*flags, f"--model_base_path={folder}", f"--connection_file={connection_file}")
    assert done.returncode == 255
    assert "WARNING" not in done.stderr  # the load that ends with the start is no news
    assert re.search("^Failed to start server. Error: " + message.format(port=taken_port), done.stdout, re.M)
    assert "Traceback" not in done.stderr
    assert not connection_file.exists()


def test_other_machines_are_not_let_in_by_accident(tmp_path: Path) -> None:
    """S1: one line with what is missing, and nothing listens."""
    (tmp_path / "m").mkdir()
    connection_file = tmp_path / "connection.json"
    done = serve(
        "--host=0.0.0.0", f"--model_base_path={tmp_path / 'm'}", f"--connection_file={connection_file}"
    )
    assert done.returncode == 255
    (line,) = done.stdout.splitlines()
    assert line.startswith(
        "Failed to start server. Error: INVALID_ARGUMENT: --host=0.0.0.0 lets other machines in"
    )
    assert not connection_file.exists()


def test_missing_base_path_is_named(tmp_path: Path) -> None:
    done = serve(f"--model_base_path={tmp_path}/nowhere", "--rest_api_port=-1", "--port=-1")
    assert done.returncode == 255
    assert f"Failed to start server. Error: NOT_FOUND: There is no folder {tmp_path}/nowhere" in done.stdout


@pytest.mark.parametrize(
    ("content", "output", "errors"),
    [
        (None, "INVALID_ARGUMENT: Can't read '{file}': No such file or directory", ""),
        (b"\xff\xfe\x00", "INVALID_ARGUMENT: Can't read '{file}': it is not text", ""),
        (
            b"model_config_list { config { name: 'm' base_path: ",
            "INVALID_ARGUMENT: Invalid protobuf file: '{file}'",
            "Error parsing text-format tensorflow.serving.ModelServerConfig",
        ),
        (
            b'{"model_config_list": [}',
            "INVALID_ARGUMENT: Invalid protobuf file: '{file}'",
            "Error parsing JSON tensorflow.serving.ModelServerConfig: Expecting value: line 1",
        ),
    ],
    ids=["missing", "not text", "bad text format", "bad JSON"],
)
def test_unusable_config_file_is_named(
    tmp_path: Path, content: bytes | None, output: str, errors: str
) -> None:
    file = tmp_path / "models.config"
    if content is not None:
        file.write_bytes(content)
    done = serve(f"--model_config_file={file}", "--rest_api_port=-1", "--port=-1")
    assert done.returncode == 255
    assert "Failed to start server. Error: " + output.format(file=file) in done.stdout
    assert errors in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (("--port=0", "--model_base_path=/"), "At least one of server_options.grpc_port or "),
        (("--port=many",), "--port=many: expected a whole number"),
        (("--enable_batching=yes",), "--enable_batching=yes: expected true or false"),
    ],
)
def test_flags_that_cannot_start_say_so(flags: tuple[str, ...], message: str) -> None:
    done = serve(*flags)
    assert done.returncode == 255
    assert f"Failed to start server. Error: INVALID_ARGUMENT: {message}" in done.stdout


def test_misspelt_flag_is_told_when_the_start_fails_for_it() -> None:
    done = serve("--model_basepath=/typo")
    assert "Failed to start server" in done.stdout
    assert done.stderr == "unknown argument: --model_basepath=/typo (did you mean --model_base_path?)\n"


def test_version_and_help_end_well() -> None:
    version, usage = serve("--version"), serve("--help")
    assert (version.returncode, usage.returncode) == (0, 0)
    assert version.stdout.startswith(f"jupyter_tfserve: {__version__}\nTensorFlow Library: 2.")
    assert "--model_base_path=''" in usage.stdout
    assert (version.stderr, usage.stderr) == ("", "")


def test_help_ends_without_a_traceback_when_its_reader_has_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "jupyter_tfserve", "serve", "--help"]
    with open(writing, "wb") as pipe:
        done = subprocess.run(
            command, stdout=pipe, stderr=subprocess.PIPE, timeout=FAIL_DEADLINE_S, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


# What starts


def test_engine_without_models_is_small_and_stops_at_once(start_engine) -> None:
    engine = start_engine("--model_basepath=/typo")
    assert engine.rest.get("/readyz").status_code == 200
    assert psutil.Process(engine.process.pid).memory_info().rss < MAX_IDLE_BYTES
    assert (
        "unknown argument: --model_basepath=/typo (did you mean --model_base_path?)" in engine.log.read_text()
    )
    assert engine.rest.get("/v1/models").json() == {"models": []}
    started = time.monotonic()
    assert engine.stop() == 0
    assert time.monotonic() - started < FAIL_DEADLINE_S


def test_relative_base_path_is_of_the_working_folder(saved_models, start_engine, monkeypatch) -> None:
    monkeypatch.chdir(saved_models)
    engine = start_engine("--model_base_path=half_plus_two")
    assert engine.predict("default", instances=[1.0]) == {"predictions": [2.5]}


def test_base_path_that_is_a_version_serves_this_one(saved_models, start_engine) -> None:
    engine = start_engine(f"--model_base_path={saved_models}/version/2")
    assert engine.predict("version", instances=[[1.0]])["predictions"] == [{"version": 2, "y": [2.0]}]
    assert engine.version_states("version") == {2: "AVAILABLE"}
    assert "only this version is served" in engine.log.read_text()


def test_folder_of_models_serves_each_by_its_folder_s_name(saved_models, start_engine, tmp_path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("half_plus_two", "version"):
        (folder / name).symlink_to(saved_models / name)
    engine = start_engine(f"--model_base_path={folder}")
    assert engine.predict("half_plus_two", instances=[1.0]) == {"predictions": [2.5]}
    assert engine.predict("version", instances=[[1.0]])["predictions"][0]["version"] == 3


def test_missing_base_path_in_a_config_file_stops_nobody_else(saved_models, start_engine, tmp_path) -> None:
    file = tmp_path / "models.config"
    file.write_text(config_text({"gone": tmp_path / "gone", "here": saved_models / "half_plus_two"}))
    engine = start_engine(f"--model_config_file={file}")
    assert engine.predict("here", instances=[1.0]) == {"predictions": [2.5]}
    (gone,) = [model for model in engine.call("GET", "/control/state")["models"] if model["name"] == "gone"]
    assert str(tmp_path / "gone") in gone["problem"]
    assert engine.rest.post("/v1/models/gone:predict", content='{"instances": [1]}').status_code == 404


# Ports


def test_grpc_is_served_on_a_unix_socket(saved_models, start_engine, tmp_path) -> None:
    path = tmp_path / "s"
    engine = start_engine(
        "--port=0", f"--grpc_socket_path={path}", f"--model_base_path={saved_models}/half_plus_two"
    )
    assert engine.connection.grpc_address is None
    engine.wait_version("default", 1)
    with grpc.insecure_channel(f"unix:{path}") as channel:
        request = GetModelStatusRequest()
        request.model_spec.name = "default"
        answer = ModelServiceStub(channel).GetModelStatus(request, timeout=30)
    assert [status.version for status in answer.model_version_status] == [1]


def test_rest_is_off_when_its_port_is_zero(start_engine) -> None:
    engine = start_engine("--rest_api_port=0")
    assert engine.connection.rest_url is None
    assert engine.call("GET", "/control/state")["engine"]["rest_url"] is None


def test_cors_flag_reaches_the_rest_port(start_engine) -> None:
    engine = start_engine("--rest_api_enable_cors_support")
    preflight = engine.rest.options("/v1/models/m:predict", headers={"Origin": "https://page.example"})
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (200, "*")
    head = engine.rest.head("/v1/models/m")
    assert (head.status_code, head.content) == (404, b"")
    assert int(head.headers["Content-Length"]) == len(engine.rest.get("/v1/models/m").content)


# The end


async def exchange(url: str, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    await writer.drain()
    return reader, writer


@pytest.mark.slow
async def test_sigterm_under_load_answers_every_request_in_flight(
    saved_models, start_engine, tmp_path
) -> None:
    """One batch at a time of one request each: most of these wait in the queue when the signal comes."""
    parameters = tmp_path / "batching"
    parameters.write_text(
        "max_batch_size { value: 1 } num_batch_threads { value: 1 } max_enqueued_batches { value: 100 }"
    )
    engine = start_engine(
        f"--model_base_path={saved_models}/slow",
        "--enable_batching",
        f"--batching_parameters_file={parameters}",
    )
    await asyncio.to_thread(engine.wait_version, "default", 1)
    body = b'{"instances": [1.0]}'
    request = (
        b"POST /v1/models/default:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
        % (
            len(body),
            body,
        )
    )
    url = engine.connection.rest_url
    connections = [await exchange(url, request) for _ in range(60)]
    # Sent after them and answered by the same loop: all of them are being handled now.
    health, writer = await exchange(url, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 200 " in await health.readline()
    writer.close()
    engine.process.send_signal(signal.SIGTERM)
    answers = await asyncio.gather(*(asyncio.wait_for(reader.read(), 60) for reader, _ in connections))
    for _, opened in connections:
        opened.close()
    assert [answer for answer in answers if not answer.startswith(b"HTTP/1.1 200 OK")] == []
    assert await asyncio.to_thread(engine.process.wait, 60) == 0


# What is imported


def test_jupyter_s_side_does_not_import_tensorflow() -> None:
    program = (
        "import sys, jupyter_tfserve, jupyter_tfserve.extension.app, jupyter_tfserve.notebook.magics\n"
        "assert 'tensorflow' not in sys.modules, 'tensorflow was imported'\n"
        "assert 'keras' not in sys.modules, 'keras was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# While a model loads


def test_status_is_loading_and_requests_wait_their_time_when_a_model_loads(
    saved_models, start_engine, eventually
) -> None:
    engine = start_engine(
        f"--model_base_path={saved_models}/hang_load", "--model_name=slow", "--rest_api_timeout_in_ms=100"
    )

    def is_loading() -> bool:
        statuses = engine.rest.get("/v1/models/slow").json().get("model_version_status")
        return statuses == [
            {"version": "1", "state": "LOADING", "status": {"error_code": "OK", "error_message": ""}}
        ]

    eventually(is_loading)
    with grpc.insecure_channel(engine.connection.grpc_address) as channel:
        request = GetModelStatusRequest()
        request.model_spec.name = "slow"
        (status,) = ModelServiceStub(channel).GetModelStatus(request, timeout=30).model_version_status
    assert (status.version, status.state, status.status.error_code) == (1, 20, 0)
    assert engine.rest.post("/v1/models/slow:predict", json={"instances": [1]}).status_code == 504
    assert engine.rest.get("/readyz").status_code == 503


def test_second_server_is_refused_when_both_would_keep_their_state_in_one_folder(start_engine, tmp_path):
    state = tmp_path / "state"
    first = start_engine(f"--state_dir={state}")
    refused = serve(f"--state_dir={state}", f"--connection_file={tmp_path}/second.json", "--port=-1")
    assert refused.returncode != 0
    assert f"Another server keeps its state in {state}" in refused.stdout
    assert "--state_dir" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr
    assert first.process.poll() is None
