"""The facts that the doctor judges: processes, ports, CPUs, GPUs, packages, files and variables around a kernel.

Collecting never fails: what cannot be found out is missing. Imports no TensorFlow.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from jupyter_tfserve.engine.client_state import EngineState
from jupyter_tfserve.engine.connection import is_alive, read_connection, runtime_directory
from jupyter_tfserve.engine.launch import DEFAULT_GRPC_PORT, DEFAULT_REST_PORT, LOOPBACK, is_port_taken
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.jupyter_server import ExtensionMissing, this_kernels_server
from jupyter_tfserve.notebook.views import Model, Status
from jupyter_tfserve.worker.control_groups import CGROUPS, OWN_CGROUPS, read_text
from jupyter_tfserve.worker.cpus import cpu_quota, schedulable_cpus

PACKAGES: Final = ("tensorflow", "keras", "tf_keras", "jupyter_tfserve", "jupyterlab")
TENSORFLOW_BUILDS: Final = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly")
GPU_QUERY_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory of a GPU."""

    pid: int
    used_mib: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is. `ports`: protocol, usual port, and the server's own (None when none runs)."""

    engine: EngineState | None = None
    engine_problem: str = ""
    owner: str = ""
    models: tuple[Model, ...] = ()
    ports: tuple[tuple[str, int, int | None], ...] = ()
    port_holders: Mapping[int, str] = field(default_factory=dict)
    engine_pids: frozenset[int] = frozenset()
    own_pid: int = 0
    gpu_processes: tuple[GpuProcess, ...] | None = None
    """None when there is no GPU."""
    cpu_count: int = 1
    cpu_quota: float | None = None
    """The CPUs that the container may use; None when it has no limit."""
    packages: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    jupyter_url: str | None = None
    jupyter_problem: str = ""
    stale_files: tuple[Path, ...] = ()


def look_around(status: Status | None, engine_problem: str = "") -> Surroundings:
    """The facts of this process and host; `status` is the running server's, if one runs."""
    engine = None if status is None else status.engine
    ports = tuple(
        (protocol, port, None if engine is None else port_of(address))
        for protocol, port, address in (
            ("REST", DEFAULT_REST_PORT, None if engine is None else engine.rest_url),
            ("gRPC", DEFAULT_GRPC_PORT, None if engine is None else engine.grpc_address),
        )
    )
    return Surroundings(
        engine=engine,
        engine_problem=engine_problem,
        owner="" if status is None else status.owner,
        models=() if status is None else status.models,
        ports=ports,
        port_holders=port_holders(port for _, port, actual in ports if actual != port),
        engine_pids=_family(None if engine is None else engine.pid),
        own_pid=os.getpid(),
        gpu_processes=gpu_processes(),
        cpu_count=schedulable_cpus(),
        cpu_quota=cpu_quota(CGROUPS, read_text(OWN_CGROUPS)),
        packages=installed(),
        environment=dict(os.environ),
        jupyter_url=None if status is None else status.jupyter_url,
        jupyter_problem=jupyter_problem(),
        stale_files=stale_files(),
    )


def port_of(address: str | None) -> int | None:
    """The port of an address such as `127.0.0.1:8500` or a URL."""
    port = (address or "").rpartition(":")[2].rstrip("/")
    return int(port) if port.isdecimal() else None


def port_holders(ports: Iterable[int]) -> dict[int, str]:
    """The programs that listen on these ports, in words; only taken ports are there."""
    taken = [port for port in ports if is_port_taken(LOOPBACK, port)]
    if not taken:
        return {}
    holders = dict.fromkeys(taken, "another user's program")
    # Other users' programs are not shown to us, and macOS shows none.
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            port = connection.laddr.port if connection.laddr else None
            if connection.status == psutil.CONN_LISTEN and port in holders and connection.pid:
                with contextlib.suppress(psutil.Error):
                    holders[port] = f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return holders


def gpu_processes() -> tuple[GpuProcess, ...] | None:
    """The processes that hold memory of an NVIDIA GPU; None when there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(  # noqa: S603  # the driver's own program, with fixed arguments
            command, capture_output=True, text=True, check=False, timeout=GPU_QUERY_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode != 0 else parse_gpu_processes(done.stdout)


def parse_gpu_processes(text: str) -> tuple[GpuProcess, ...]:
    """nvidia-smi's lines `pid, MiB`; those whose memory it does not tell are left out."""
    pairs = (line.split(",") for line in text.splitlines())
    cells = ([cell.strip() for cell in pair] for pair in pairs if len(pair) == 2)
    return tuple(
        GpuProcess(int(pid), int(used)) for pid, used in cells if pid.isdecimal() and used.isdecimal()
    )


def installed() -> dict[str, str]:
    """The versions of the packages that matter, as far as they are there. Nothing is imported."""
    found = {}
    for name in (*PACKAGES, *TENSORFLOW_BUILDS):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    for build in TENSORFLOW_BUILDS:
        if build in found:
            found.setdefault("tensorflow", found[build])
    return found


def jupyter_problem() -> str:
    """Why the Jupyter server of this kernel cannot keep an engine; empty when it can or there is none."""
    server = this_kernels_server()
    if server is None:
        return ""
    try:
        server.engines()
    except (ExtensionMissing, ServingError) as problem:
        return problem.message if isinstance(problem, ServingError) else str(problem)
    return ""


def stale_files(directory: Path | None = None) -> tuple[Path, ...]:
    """The connection files of engines that run no more; files that cannot be read are not ours to judge."""
    stale = []
    for path in sorted((directory or runtime_directory()).glob("tfserve-*.json")):
        with contextlib.suppress(ServingError):
            if not is_alive(read_connection(path)):
                stale.append(path)
    return tuple(stale)


def _family(pid: int | None) -> frozenset[int]:
    """The process and all below it."""
    if pid is None:
        return frozenset()
    try:
        return frozenset({pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))})
    except psutil.Error:
        return frozenset({pid})
