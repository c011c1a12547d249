"""Load on one server for some seconds: closed loops by wrk and h2load, open ones, or without these, by `own_load`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.calls import Call
from tests.benchmarks.figures import Sample, percentile
from tests.benchmarks.machine import pin
from tests.benchmarks.models import ROOT

_WRK_SCRIPT = """
local requests = {}
for path in string.gmatch(os.getenv("BENCH_PATHS"), "%S+") do
  local file = io.open(os.getenv("BENCH_BODY") .. #requests, "rb")
  wrk.method, wrk.body = "POST", file:read("*a")
  file:close()
  for name, value in string.gmatch(os.getenv("BENCH_HEADERS"), "([^:\\n]+): ([^\\n]+)") do
    wrk.headers[name] = value
  end
  requests[#requests + 1] = wrk.format(nil, path)
end
local turn = 0
if #requests == 1 then
  request = function() return requests[1] end
else
  request = function() turn = turn % #requests + 1; return requests[turn] end
end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format('\\nBENCH {"answers": %d, "us": %d, "p50_us": %.1f, "p99_us": %.1f, "errors": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""
_GRPC_HEADERS = {"content-type": "application/grpc", "te": "trailers"}


class NoLoad(Exception):
    """The load could not be made, or its report not be read."""


def closed_loop(calls: list[Call], connections: int, seconds: float, cores: tuple[int, ...]) -> Sample:
    """Each connection asks again as soon as it is answered; several calls (of one server) take turns."""
    if calls[0].grpc:
        if shutil.which("h2load"):
            return _h2load(calls[0], connections, seconds, cores)
        return _own(calls, connections, seconds, 0.0, cores)
    if shutil.which("wrk"):
        return _wrk(calls, connections, seconds, cores)
    return _own(calls, connections, seconds, 0.0, cores)


def open_loop(
    calls: list[Call], connections: int, seconds: float, rate: float, cores: tuple[int, ...]
) -> Sample:
    """So many requests a second, whatever the server does; latencies are from when each was due."""
    return _own(calls, connections, seconds, rate, cores)


def _wrk(calls: list[Call], connections: int, seconds: float, cores: tuple[int, ...]) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "load.lua")
        script.write_text(_WRK_SCRIPT)
        for number, call in enumerate(calls):
            Path(folder, f"body{number}").write_bytes(call.body)
        told = {
            "BENCH_BODY": f"{folder}/body",
            "BENCH_PATHS": " ".join(call.path for call in calls),
            "BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in calls[0].headers.items()),
        }
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
        output = _run([*command, "-s", str(script), f"http://{calls[0].address}"], cores, seconds, told)
    found = re.search(r"^BENCH (.*)$", output, re.MULTILINE)
    if found is None:
        raise NoLoad(output[-300:])
    told = json.loads(found[1])
    if not told["answers"]:
        raise NoLoad(f"none in {seconds:g} s")
    per_s = told["answers"] / told["us"] * 1e6
    return Sample(per_s, told["p50_us"] / 1000, told["p99_us"] / 1000, told["answers"], told["errors"])


def _h2load(call: Call, connections: int, seconds: float, cores: tuple[int, ...]) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(call.framed)
        headers = [part for name, value in _GRPC_HEADERS.items() for part in ("-H", f"{name}: {value}")]
        command = [
            "h2load",
            "-t1",
            f"-c{connections}",
            "-m1",
            f"-D{max(1, round(seconds))}",
            "-d",
            str(body),
            *headers,
        ]
        # Windows as large as a gRPC client's, so that large bodies are not sent in steps of 64 KiB.
        output = _run([*command, "-w24", "-W24", f"--log-file={log}", call.url], cores, seconds)
        lines = [line.split() for line in log.read_text().splitlines()]
    latencies = sorted(float(line[2]) / 1000 for line in lines if line[1] == "200")
    if not latencies:
        raise NoLoad(output[-300:])
    errors = sum(line[1] != "200" for line in lines)
    return Sample(
        len(latencies) / seconds,
        percentile(latencies, 50),
        percentile(latencies, 99),
        len(latencies),
        errors,
    )


def _own(calls: list[Call], connections: int, seconds: float, rate: float, cores: tuple[int, ...]) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        asked: list[dict[str, Any]] = []
        for number, call in enumerate(calls):
            body = Path(folder, f"body{number}")
            body.write_bytes(call.body)
            asked.append(
                {
                    "address": call.address,
                    "path": call.path,
                    "body": str(body),
                    "grpc": call.grpc,
                    "headers": dict(call.headers),
                }
            )
        phase = {"calls": asked, "connections": connections, "seconds": seconds, "rate": rate}
        command = [sys.executable, "-m", "tests.benchmarks.own_load", json.dumps(phase)]
        told = json.loads(_run(command, cores, seconds))
    latencies = sorted(told["latencies_ms"])
    if not latencies:
        raise NoLoad(told["first_error"] or "no answer at all")
    per_s = len(latencies) / told["seconds"]
    p50, p99 = percentile(latencies, 50), percentile(latencies, 99)
    return Sample(per_s, p50, p99, len(latencies), told["errors"])


def _run(
    command: list[str], cores: tuple[int, ...], seconds: float, told: dict[str, str] | None = None
) -> str:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(told or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pin(process.pid, cores)
    with process:
        try:
            output, errors = process.communicate(timeout=seconds * 4 + 60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise NoLoad("the load did not end") from None
    if process.returncode != 0:
        raise NoLoad((output + errors)[-300:])
    return output
