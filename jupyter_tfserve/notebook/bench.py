"""`%tfserve bench`: how fast a served model answers, alone and under load, beside TensorFlow in this kernel."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.bench_view import bench_html, bench_text
from jupyter_tfserve.notebook.progress import Say
from jupyter_tfserve.types import Tensor

CLOSED_CONNECTIONS: Final = (1, 8, 32)
OPEN_SHARES: Final = (0.25, 0.5, 0.75, 0.9)
"""Rates of the open loop, as shares of the best throughput of the closed one."""
OPEN_CONNECTIONS: Final = 64
STOP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """One phase. `rate` is None for a closed loop; `latencies_ms` are sorted, and a sample if there are many."""

    connections: int
    rate: float | None
    seconds: float
    answers: int
    errors: int
    latencies_ms: Tensor
    first_error: str = ""

    @property
    def throughput(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds if self.seconds > 0 else 0.0

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that so many percent of the answers did not exceed; NaN without answers."""
        return float(np.percentile(self.latencies_ms, share)) if len(self.latencies_ms) else float("nan")


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured. `direct` is the model called in this kernel, without any server."""

    target: str
    rows: int
    closed: tuple[Load, ...]
    opened: tuple[Load, ...] = field(default=())
    direct: Load | None = None

    @property
    def best_throughput(self) -> float:
        """The most answers per second of any closed loop."""
        return max((load.throughput for load in self.closed), default=0.0)

    def __str__(self) -> str:
        """The table that a terminal shows."""
        return bench_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": bench_html(self)}


def run_bench(
    url: str, body: bytes, seconds: float, say: Say, call: Callable[[], object] | None = None
) -> tuple[tuple[Load, ...], tuple[Load, ...], Load | None]:
    """The closed loops, the open loops, and `call` in this process, all within about `seconds`.

    INVALID_ARGUMENT with the server's words when it refuses the request.
    """
    phases = len(CLOSED_CONNECTIONS) + len(OPEN_SHARES) + (call is not None)
    share_s = seconds / phases
    done = 0

    def step(text: str) -> None:
        nonlocal done
        say(text, done / phases)
        done += 1

    with load_process(url, body) as run:
        closed = []
        for connections in CLOSED_CONNECTIONS:
            step(f"{connections} connection{'s' if connections > 1 else ''}")
            closed.append(run({"connections": connections, "seconds": share_s}))
            check_answered(closed[-1])
        best = max(load.throughput for load in closed)
        opened = []
        for share in OPEN_SHARES:
            rate = max(best * share, 1.0)
            step(f"{rate:.0f} requests a second")
            opened.append(run({"connections": OPEN_CONNECTIONS, "seconds": share_s, "rate": rate}))
    if call is None:
        return tuple(closed), tuple(opened), None
    step("TensorFlow in this kernel")
    return tuple(closed), tuple(opened), time_calls(call, share_s)


def time_calls(call: Callable[[], object], seconds: float) -> Load:
    """`call` again and again in this thread. The first call is not counted: functions are traced then."""
    call()
    latencies: list[float] = []
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds or not latencies:
        call()
        latencies.append(1000 * (time.perf_counter() - now))
    elapsed = time.perf_counter() - began
    return Load(1, None, elapsed, len(latencies), 0, np.sort(np.array(latencies)))


@contextlib.contextmanager
def load_process(url: str, body: bytes) -> Iterator[Callable[[Mapping[str, Any]], Load]]:
    """What runs a phase in the load generator, which is gone afterwards, also after an interrupt."""
    command = [sys.executable, "-m", "jupyter_tfserve.notebook.bench_load"]
    # Not in the user's folder: `python -m` would prefer the modules that lie there.
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=Path(tempfile.gettempdir()),
        ) as process,
    ):
        try:
            _send(process, {"url": url, "body": body.decode("utf-8")})
            yield lambda phase: _run_phase(process, phase, errors)
        finally:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
            # What it never read is still in the buffer, and closing would try to send it.
            with contextlib.suppress(BrokenPipeError):
                if process.stdin is not None:
                    process.stdin.close()


def _run_phase(process: subprocess.Popen[str], phase: Mapping[str, Any], errors: IO[bytes]) -> Load:
    _send(process, phase)
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip().splitlines()
        raise ServingError(
            Code.INTERNAL, f"The load generator ended: {said[-1] if said else 'it said nothing'}"
        )
    result = json.loads(line)
    return Load(
        result["connections"],
        result.get("rate"),
        result["seconds"],
        result["answers"],
        result["errors"],
        np.array(result["latencies_ms"]),
        result["first_error"],
    )


def _send(process: subprocess.Popen[str], document: Mapping[str, Any]) -> None:
    if process.stdin is not None:
        # A generator that is gone already is told by its missing answer.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(document) + "\n")
            process.stdin.flush()


def check_answered(load: Load) -> None:
    """Passes if there were answers; INVALID_ARGUMENT with the server's words if there was none."""
    if load.answers == 0:
        reason = load.first_error or "there was no answer"
        raise ServingError(Code.INVALID_ARGUMENT, f"The server does not answer this request: {reason}")
