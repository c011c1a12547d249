"""What is measured side by side: our engine, the limits, the peers. Each is open as long as a workload lasts."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from jupyter_tfserve.engine.connection import Connection, read_connection
from tests.benchmarks.calls import Call
from tests.benchmarks.figures import Sample
from tests.benchmarks.loads import closed_loop
from tests.benchmarks.machine import Cores, pin
from tests.benchmarks.models import ROOT, Model
from tests.benchmarks.peers.catalog import PEERS, Peer, Place
from tests.benchmarks.serving import NotStarted, cpu_seconds, free_port, running, wait_for, wait_right
from tests.benchmarks.workloads import Workload, our_call

OURS = "jupyter_tfserve"
BARE_UVICORN = "constant answer, bare uvicorn"
ECHO_THREADS, ECHO_AIO = "empty echo, grpcio threads", "empty echo, grpc.aio"
CALLABLE_ONE, CALLABLE_BEST = "bare callable, one row", "bare callable, best batch"
SIMDJSON = "simdjson parses the body"


class Measured(Protocol):
    """A target that is ready."""

    def turn(self, connections: int, seconds: float) -> Sample:
        """Measures it once."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a run happens; `pythons` has the interpreters of peers that are not in ours."""

    folder: Path
    cores: Cores
    pythons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """Something that can be opened for a workload. NotStarted when it cannot."""

    name: str
    open: Callable[[], contextlib.AbstractContextManager[Measured]]


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers this call."""

    call: Call
    cores: Cores
    pid: int

    def turn(self, connections: int, seconds: float) -> Sample:
        before_s = cpu_seconds(self.pid)
        sample = closed_loop([self.call], connections, seconds, self.cores.load)
        spent_s = cpu_seconds(self.pid) - before_s
        return replace(sample, cpu_us=1e6 * spent_s / max(sample.answers, 1))


@dataclass(frozen=True, slots=True)
class Looped:
    """A process that works in a loop, on the server's core; connections mean nothing to it."""

    process: subprocess.Popen[str]
    rows: int

    def turn(self, connections: int, seconds: float) -> Sample:
        told = _exchange(self.process, str(seconds))
        return Sample(told["per_s"], told["p50_ms"], told["p99_ms"], told["answers"], 0, told["cpu_us"])


def targets_of(
    workload: Workload, model: Model, setting: Setting, engine: Target, wanted: Callable[[str], bool]
) -> list[Target]:
    """All that is measured for a workload, ours first. `wanted` chooses among the peers by their names."""
    call = our_call(workload, model, "http://127.0.0.1:1", "127.0.0.1:1")
    found = [engine, *_limits(workload, model, setting, call)]
    if workload.peers:
        found += [
            Target(peer.name, _peer_opener(peer, workload, model, setting))
            for peer in PEERS
            if wanted(peer.name) and (peer.grpc if workload.grpc else peer.rest) is not None
        ]
    return found


def our_target(workload: Workload, model: Model, setting: Setting) -> Target:
    """Our engine with this one model and no setting at all."""

    @contextlib.contextmanager
    def opened() -> Iterator[Measured]:
        with our_engine(setting, model) as (process, log, connection):
            call = our_call(workload, model, connection.rest_url or "", connection.grpc_address or "")
            wait_right(process, log, call, model.expected)
            yield Served(call, setting.cores, process.pid)

    return Target(OURS, opened)


@contextlib.contextmanager
def our_engine(
    setting: Setting, model: Model, *flags: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path, Connection]]:
    """Our server as its own command starts it."""
    file, log = setting.folder / "connection.json", setting.folder / "engine.log"
    file.unlink(missing_ok=True)
    if not any(flag.startswith("--model_config_file=") for flag in flags):
        flags = (f"--model_name={model.name}", f"--model_base_path={model.path}", *flags)
    command = [sys.executable, "-m", "jupyter_tfserve", "serve", "--port=-1", "--rest_api_port=-1", *flags]
    with running([*command, f"--connection_file={file}"], log, setting.cores.server) as process:
        wait_for(lambda: file.exists() or process.poll() is not None, "the engine did not listen")
        if process.poll() is not None:
            raise NotStarted(log.read_text()[-300:])
        yield process, log, read_connection(file)


def _limits(workload: Workload, model: Model, setting: Setting, call: Call) -> list[Target]:
    loops = {CALLABLE_ONE: ["callable", str(model.path / "1"), str(model.path) + ".json", "1"]}
    if workload.best_batch:
        loops[CALLABLE_BEST] = [*loops[CALLABLE_ONE][:-1], "0"]
    if workload.parsing:
        body = setting.folder / "body.json"
        body.write_bytes(call.body)
        loops[SIMDJSON] = ["simdjson", str(body)]
    found = [Target(name, _loop_opener(arguments, setting)) for name, arguments in loops.items()]
    answer = setting.folder / f"{workload.name}.answer"
    answer.write_bytes(_answer_like(workload, model))
    if workload.grpc:
        kinds = {ECHO_THREADS: "threads", ECHO_AIO: "aio"}
        return found + [
            Target(name, _server_opener(["grpc_echo", kind, "127.0.0.1:{port}", str(answer)], call, setting))
            for name, kind in kinds.items()
        ]
    constant = _server_opener(["uvicorn_constant", "{port}", str(answer)], call, setting)
    return [*found, Target(BARE_UVICORN, constant)]


def _answer_like(workload: Workload, model: Model) -> bytes:
    """An answer of the same bytes as ours."""
    if not workload.grpc:
        return json.dumps({"predictions": model.expected}, indent=4).encode()
    import numpy as np

    from jupyter_tfserve.dataplane.grpc_predict import encode_predict_response

    output = np.asarray(model.expected, np.float32)
    return encode_predict_response(model.name, 1, "serving_default", {"y": output})


def _server_opener(
    arguments: list[str], call: Call, setting: Setting
) -> Callable[[], contextlib.AbstractContextManager[Measured]]:
    @contextlib.contextmanager
    def opened() -> Iterator[Measured]:
        port = free_port()
        module, *told = (argument.format(port=port) for argument in arguments)
        command = [sys.executable, "-m", f"tests.benchmarks.limits.{module}", *told]
        log = setting.folder / f"{module}.log"
        answered = Call(f"http://127.0.0.1:{port}{call.path}", call.body, None, call.headers, call.grpc)
        with running(command, log, setting.cores.server) as process:
            wait_right(process, log, answered, None)
            yield Served(answered, setting.cores, process.pid)

    return opened


def _loop_opener(
    arguments: list[str], setting: Setting
) -> Callable[[], contextlib.AbstractContextManager[Measured]]:
    @contextlib.contextmanager
    def opened() -> Iterator[Measured]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.limits.loop", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        pin(process.pid, setting.cores.server)
        with process:
            try:
                yield Looped(process, _read_line(process)["rows"])
            finally:
                process.kill()

    return opened


def _peer_opener(
    peer: Peer, workload: Workload, model: Model, setting: Setting
) -> Callable[[], contextlib.AbstractContextManager[Measured]]:
    @contextlib.contextmanager
    def opened() -> Iterator[Measured]:
        python = setting.pythons.get(peer.package.partition(".")[0], sys.executable)
        _check_installed(python, peer.package)
        name = "".join(letter for letter in peer.name if letter.isalnum())
        place = Place(free_port(), free_port(), setting.folder / f"{workload.name}-{name}")
        place.folder.mkdir(exist_ok=True)
        if workload.grpc and peer.grpc is not None:
            call = peer.grpc(place, model, workload.grpc == "tensor_content")
        else:
            call = peer.rest(place, model)
        command = [python, *peer.command(peer, place, model)]
        log = place.folder / "log"
        with running(command, log, setting.cores.server, peer.environment(place, model)) as process:
            wait_right(process, log, call, model.expected)
            yield Served(call, setting.cores, process.pid)

    return opened


def _check_installed(python: str, package: str) -> None:
    command = [
        python,
        "-c",
        f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)",
    ]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise NotStarted("it is not installed")


def _exchange(process: subprocess.Popen[str], line: str) -> Any:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return _read_line(process)


def _read_line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise NotStarted(f"it ended with {process.wait()}")
    return json.loads(line)
