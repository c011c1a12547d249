"""What GPUs give, measured where there is one: `python -m tests.benchmarks.gpu`.

The compute-bound net over gRPC in batches of 1024 rows: rows a second on the CPUs, on one GPU, and with a process on
each GPU; whether the cap of GPU memory holds; and what happens to a request that needs more than that. Where no GPU is
found it says so and measures nothing, unless `--cpu` asks for the same with processes on the CPUs, which shows only that
the script works.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_tfserve.client import Client
from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.client_state import State
from jupyter_tfserve.engine.connection import read_connection
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.device_view import describe_device
from jupyter_tfserve.notebook.surroundings import gpu_processes
from tests.benchmarks.models import make_models
from tests.benchmarks.serving import START_DEADLINE_S, running, wait_for

MODEL = "compute"
WIDTH = 784
ROWS = 1024
CALLERS_EACH = 4
"""Callers for each process: two batches are computed and two wait."""
CAP_MB = 1024
CONTEXT_MB = 1024
"""What CUDA's own context and libraries take beside TensorFlow's memory, at most."""
TOO_MANY_ROWS = 65_536
"""Their activations alone are 1 GiB for each layer."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running engine that serves the model."""

    control: ControlClient
    grpc_url: str
    state: State

    @property
    def processes(self) -> int:
        """How many serve the version now."""
        return len(self.control.state().models[0].versions[0].replicas)


@contextlib.contextmanager
def served(
    models: Path, folder: Path, *flags: str, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """An engine of ours with the net loaded."""
    file = folder / f"connection-{time.monotonic_ns()}.json"
    command = [
        *(sys.executable, "-m", "jupyter_tfserve", "serve", f"--connection_file={file}"),
        *(
            "--port=-1",
            "--rest_api_port=-1",
            f"--model_name={MODEL}",
            f"--model_base_path={models / MODEL}",
            *flags,
        ),
    ]
    with running(command, folder / f"{file.stem}.log", (), dict(environment or {})):
        wait_for(file.exists, "the engine did not start")
        connection = read_connection(file)
        control = ControlClient(connection.control_url, connection.token)
        control.wait(MODEL, 1, 120)
        yield Served(control, f"grpc://{connection.grpc_address}", control.state())


def rows_per_second(url: str, callers: int, seconds: float) -> float:
    """What so many callers get answered, each of which asks again at once."""
    batch = np.random.default_rng(3).random((ROWS, WIDTH), np.float32)
    # With a limit: a caller that fails on its first request never comes to the barrier.
    begin, done = threading.Barrier(callers + 1, timeout=START_DEADLINE_S), [0] * callers
    ends = 0.0

    def ask(number: int) -> None:
        with Client(url) as client:
            client.predict(MODEL, batch)
            begin.wait()
            while time.monotonic() < ends:
                client.predict(MODEL, batch)
                done[number] += ROWS

    ends = time.monotonic() + 3600
    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(callers)]
    for thread in threads:
        thread.start()
    begin.wait()
    started = time.monotonic()
    ends = started + seconds
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - started)


def measure_replicas(models: Path, folder: Path, counts: list[int], seconds: float) -> None:
    """A line for each number of processes: rows a second, and the ratio to one."""
    with served(models, folder) as engine:
        first = 0.0
        for count in counts:
            engine.control.set_replicas(MODEL, count)
            wait_for(lambda count=count: engine.processes == count, f"no {count} processes")
            rate = rows_per_second(engine.grpc_url, CALLERS_EACH * count, seconds)
            first = first or rate
            devices = [replica.device for replica in engine.control.state().models[0].versions[0].replicas]
            print(
                f"{count} on {', '.join(devices)}: {rate:,.0f} rows/s, {rate / first:.2f} times one process"
            )


def measure_cap(models: Path, folder: Path) -> bool:
    """Whether a process keeps its cap under load, and a request that needs more costs nobody else anything."""
    with served(models, folder, f"--gpu_memory_limit_mb={CAP_MB}") as engine:
        rows_per_second(engine.grpc_url, CALLERS_EACH, 5)
        (replica,) = engine.control.state().models[0].versions[0].replicas
        used = {each.pid: each.used_mib for each in gpu_processes() or ()}.get(replica.pid)
        print(f"cap {CAP_MB} MiB: the process holds {used} MiB, its CUDA context included")
        code: Code | None = None
        with Client(engine.grpc_url) as client:
            try:
                client.predict(MODEL, np.zeros((TOO_MANY_ROWS, WIDTH), np.float32))
            except ServingError as error:
                code = error.code
            is_up = client.predict(MODEL, np.zeros((1, WIDTH), np.float32)) is not None
        print(f"a request that needs more: {code}; the next one is answered: {is_up}")
        return code is Code.RESOURCE_EXHAUSTED and is_up and (used is None or used <= CAP_MB + CONTEXT_MB)


def main(arguments: list[str]) -> int:
    """0 if all was measured and the cap held, 1 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement; 10")
    parser.add_argument("--cpu", action="store_true", help="one and two processes on the CPUs, without a GPU")
    told: Any = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gpu") as name:
        folder = Path(name)
        models = folder / "models"
        make_models(models)
        with served(models, folder) as engine:
            devices = engine.state.engine.devices
        for device in devices:
            print(f"{device.name}: {describe_device(device)}")
        if not devices:
            print("No GPU is found on this machine" + ("" if told.cpu else ": nothing is measured."))
            if told.cpu:
                measure_replicas(models, folder, [1, 2], told.seconds)
            return 1
        with served(models, folder, environment={"CUDA_VISIBLE_DEVICES": ""}) as engine:
            rate = rows_per_second(engine.grpc_url, CALLERS_EACH, told.seconds)
            print(f"1 on CPU: {rate:,.0f} rows/s")
        counts = sorted({1, 2, len(devices)})
        measure_replicas(models, folder, counts, told.seconds)
        return 0 if measure_cap(models, folder) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
