"""What is measured side by side, open for the whole run: our engine, and servers and loops of any kind."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import grpc
import httpx

from jupyter_tfserve.engine.connection import Connection, read_connection
from tests.benchmarks.calls import Call, WrongAnswer, ask
from tests.benchmarks.figures import Sample
from tests.benchmarks.loads import NoLoad, closed_loop, open_loop
from tests.benchmarks.machine import Cores, busy_s, settle
from tests.benchmarks.models import Model, read_model
from tests.benchmarks.serving import (
    NotStarted,
    cpu_seconds,
    last_words,
    pause,
    resume,
    running,
    wait_for,
    wait_right,
)
from tests.benchmarks.workloads import Workload, our_call

OURS = "jupyter_tfserve"
ANSWER_DEADLINE_S = 40
"""How long a server that has started may take until it answers a workload right."""


class Measured(Protocol):
    """A target that is ready."""

    def prepare(self, workload: Workload) -> None:
        """Makes sure that it answers this workload right; else NotStarted."""

    def turn(self, workload: Workload, connections: int, seconds: float) -> Sample:
        """Measures it once. NoLoad if that is impossible. REQUIRES: it is prepared."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a run happens; `pythons` has the interpreters of peers that are not in ours."""

    folder: Path
    models: Path
    cores: Cores
    pythons: Mapping[str, str] = field(default_factory=dict)

    def model(self, name: str) -> Model:
        """A model by its name."""
        return read_model(self.models, name)


@dataclass(frozen=True, slots=True)
class Target:
    """Something that can be opened, NotStarted when it cannot; `takes`: whether it is measured at so many connections."""

    name: str
    open: Callable[[], contextlib.AbstractContextManager[Measured]]
    takes: Callable[[Workload, int], bool]


@dataclass(frozen=True, slots=True)
class Served:
    """A server. `call` is how a model is asked; `is_checked`: its answers are the model's; `sleeps`: turns wake it."""

    process: subprocess.Popen[bytes]
    log: Path
    setting: Setting
    call: Callable[[Workload, Model], Call]
    is_checked: bool = True
    sleeps: bool = False
    calls: dict[str, list[Call]] = field(default_factory=dict)

    def prepare(self, workload: Workload) -> None:
        """Asks once for each model."""
        known: list[Call] = []
        with self.awake():
            for model in map(self.setting.model, workload.models):
                call = self.call(workload, model)
                expected = model.expected if self.is_checked else None
                answer = wait_right(self.process, self.log, call, expected, ANSWER_DEADLINE_S)
                known.append(call.answered(answer))
        self.calls[workload.name] = known

    def turn(self, workload: Workload, connections: int, seconds: float) -> Sample:
        """The load is on another core; what the server and everything else computed meanwhile is noted."""
        calls, cores = self.calls[workload.name], self.setting.cores
        with self.awake():
            self._wake(calls[0])
            before_s, busy, began = cpu_seconds(self.process.pid), busy_s(cores.server), time.monotonic()
            if workload.rate:
                sample = open_loop(calls, connections, seconds, workload.rate, cores.load)
            else:
                sample = closed_loop(calls, connections, seconds, cores.load)
            busy, took_s = busy_s(cores.server) - busy, time.monotonic() - began
            spent_s = cpu_seconds(self.process.pid) - before_s
            if self.process.poll() is not None:
                raise NoLoad(f"it ended with {self.process.returncode}: {last_words(self.log)}")
            # What its callers no longer wait for, it does in its own time and not in another's.
            settle(cores.server)
        others_share = max(0.0, busy - spent_s) / took_s
        return replace(sample, cpu_us=1e6 * spent_s / max(sample.answers, 1), others_share=others_share)

    def _wake(self, call: Call) -> None:
        # The first answer after a sleep is none to measure.
        if self.sleeps:
            try:
                ask(call, ANSWER_DEADLINE_S)
            except (httpx.HTTPError, grpc.RpcError, WrongAnswer) as error:
                raise NoLoad(f"it did not wake: {error or type(error).__name__}") from error

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Meanwhile it runs, and afterwards sleeps if it is one that does."""
        if self.sleeps:
            resume(self.process.pid)
        try:
            yield
        finally:
            if self.sleeps:
                pause(self.process.pid)


@dataclass(frozen=True, slots=True)
class Looped:
    """A process that works in a loop, on the server's core; connections mean nothing to it."""

    process: subprocess.Popen[str]
    cores: Cores

    def prepare(self, workload: Workload) -> None:
        """Loads the model, and finds its best batch size where that is asked."""
        self._ask(workload, 0)

    def turn(self, workload: Workload, connections: int, seconds: float) -> Sample:
        """All the while it has the core for itself."""
        try:
            told = self._ask(workload, seconds)
        except NotStarted as error:
            raise NoLoad(str(error)) from error
        return Sample(told["per_s"], told["p50_ms"], told["p99_ms"], told["answers"], 0, told["cpu_us"])

    def _ask(self, workload: Workload, seconds: float) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({"model": workload.models[0], "seconds": seconds}) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise NotStarted(f"it ended with {self.process.wait()}")
        return json.loads(line)


def our_target(setting: Setting, models: tuple[str, ...]) -> Target:
    """Our engine with these models and no setting at all."""

    @contextlib.contextmanager
    def opened() -> Iterator[Measured]:
        with our_engine(setting, [setting.model(name) for name in models]) as (process, log, connection):

            def call(workload: Workload, model: Model) -> Call:
                return our_call(workload, model, connection.rest_url or "", connection.grpc_address or "")

            yield Served(process, log, setting, call)

    return Target(OURS, opened, lambda workload, connections: connections in workload.connections)


@contextlib.contextmanager
def our_engine(
    setting: Setting, models: list[Model], *flags: str, cores: tuple[int, ...] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Path, Connection]]:
    """Our server as its own command starts it, on the server's core unless `cores` says otherwise."""
    place = setting.folder / f"ours{time.monotonic_ns()}"
    place.mkdir()
    config, file, log = place / "models.json", place / "connection.json", place / "log"
    listed = [{"name": one.name, "basePath": str(one.path), "modelPlatform": "tensorflow"} for one in models]
    config.write_text(json.dumps({"modelConfigList": {"config": listed}}))
    command = [sys.executable, "-m", "jupyter_tfserve", "serve", "--port=-1", "--rest_api_port=-1", *flags]
    files = [f"--model_config_file={config}", f"--connection_file={file}"]
    with running([*command, *files], log, setting.cores.server if cores is None else cores) as process:
        wait_for(lambda: file.exists() or process.poll() is not None, "the engine did not listen")
        if process.poll() is not None:
            raise NotStarted(last_words(log))
        yield process, log, read_connection(file)
