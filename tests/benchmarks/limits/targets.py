"""The limits as targets: the same answers from servers that do nothing, and the work alone in a loop."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from jupyter_tfserve.codec.json_predict import encode_predict
from jupyter_tfserve.dataplane.grpc_predict import encode_predict_response
from tests.benchmarks.calls import Call
from tests.benchmarks.machine import pin
from tests.benchmarks.models import ROOT, Model
from tests.benchmarks.serving import NotStarted, free_port, running
from tests.benchmarks.targets import Looped, Measured, Served, Setting, Target
from tests.benchmarks.workloads import Workload, our_call

BARE_UVICORN = "constant answer, bare uvicorn"
ECHO_THREADS, ECHO_AIO = "empty echo, grpcio threads", "empty echo, grpc.aio"
CALLABLE_ONE, CALLABLE_BEST = "bare callable, one row", "bare callable, best batch"
CALLABLE_64 = "bare callable, best batch of at most 64"
SIMDJSON, SIMDJSON_NUMBERS = "simdjson parses the body", "simdjson parses it, numbers out"
_BUSY = 64

Takes = Callable[[Workload, int], bool]


def limit_targets(setting: Setting) -> list[Target]:
    """All of them."""
    answers = setting.folder / "answers"
    answers.mkdir(exist_ok=True)
    for name in ("three_floats", "dense", "image", "compute", "jpeg", "strings"):
        _write_answer(answers, setting.model(name))
    echo = str(answers / "three_floats.message")
    loop = [sys.executable, "-m", "tests.benchmarks.limits.loop"]
    best, parsed = [*loop, "callable", str(setting.models)], [*loop, "simdjson", str(setting.models)]
    return [
        _server(BARE_UVICORN, ["uvicorn_constant", "{port}", str(answers)], setting, _is_plain_rest),
        _server(ECHO_THREADS, ["grpc_echo", "threads", "127.0.0.1:{port}", echo], setting, _is_grpc),
        _server(ECHO_AIO, ["grpc_echo", "aio", "127.0.0.1:{port}", echo], setting, _is_grpc),
        _loop(CALLABLE_ONE, [*best, "1"], setting, _is_lone),
        _loop(CALLABLE_BEST, [*best, "1024", "best"], setting, _is_batched),
        _loop(CALLABLE_64, [*best, str(_BUSY), "best"], setting, _is_batched),
        _loop(SIMDJSON, parsed, setting, _is_parsed),
        _loop(SIMDJSON_NUMBERS, [*parsed, "numbers"], setting, _is_parsed),
    ]


def _is_plain_rest(workload: Workload, connections: int) -> bool:
    is_plain = not workload.grpc and not workload.rate and len(workload.models) == 1
    return is_plain and connections in workload.connections


def _is_grpc(workload: Workload, connections: int) -> bool:
    return bool(workload.grpc) and connections in workload.connections


def _is_lone(workload: Workload, connections: int) -> bool:
    return connections == 1 and connections in workload.connections


def _is_batched(workload: Workload, connections: int) -> bool:
    return workload.best_batch and connections == _BUSY


def _is_parsed(workload: Workload, connections: int) -> bool:
    return workload.parsing and connections in workload.connections


def _write_answer(folder: Path, model: Model) -> None:
    """The bytes of our own answers."""
    outputs = {"y": np.asarray(model.expected)}
    if outputs["y"].dtype.kind == "f":
        outputs["y"] = outputs["y"].astype(np.float32)
        message = encode_predict_response(model.name, 1, "serving_default", outputs)
        (folder / f"{model.name}.message").write_bytes(message)
    else:
        outputs["y"] = np.array([text.encode() for text in model.expected], object)
    (folder / f"{model.name}.json").write_bytes(encode_predict(outputs, True))


def _server(name: str, arguments: list[str], setting: Setting, takes: Takes) -> Target:
    @contextlib.contextmanager
    def opened() -> Iterator[Measured]:
        port = free_port()
        module, *told = (argument.format(port=port) for argument in arguments)
        command = [sys.executable, "-m", f"tests.benchmarks.limits.{module}", *told]
        log = setting.folder / f"{module}{port}.log"

        def call(workload: Workload, model: Model) -> Call:
            asked = our_call(workload, model, f"http://127.0.0.1:{port}", f"127.0.0.1:{port}")
            return Call(asked.url, asked.body, None, asked.headers, asked.grpc)

        with running(command, log, setting.cores.server) as process:
            yield Served(process, log, setting, call, is_checked=False)

    return Target(name, opened, takes)


def _loop(name: str, command: list[str], setting: Setting, takes: Takes) -> Target:
    @contextlib.contextmanager
    def opened() -> Iterator[Measured]:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        pin(process.pid, setting.cores.server)
        with process:
            try:
                if process.stdout is None or not process.stdout.readline():
                    raise NotStarted(f"it ended with {process.wait()}")
                yield Looped(process, setting.cores)
            finally:
                process.kill()

    return Target(name, opened, takes)
