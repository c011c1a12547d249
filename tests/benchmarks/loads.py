"""Load on one server for some seconds: closed loops by wrk and h2load, open ones, or without these, by `own_load`."""

from __future__ import annotations

import json
import os
import re
import resource
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
local bodies = {}
for path in string.gmatch(os.getenv("BENCH_PATHS"), "%S+") do
  local file = io.open(os.getenv("BENCH_BODY") .. #bodies, "rb")
  bodies[#bodies + 1] = {path, file:read("*a")}
  file:close()
end
wrk.method, wrk.path, wrk.body = "POST", bodies[1][1], bodies[1][2]
for name, value in string.gmatch(os.getenv("BENCH_HEADERS"), "([^:\\n]+): ([^\\n]+)") do
  wrk.headers[name] = value
end
-- Without a function `request` wrk sends the same bytes again and runs no Lua meanwhile.
if #bodies > 1 then
  local requests, turn = {}, 0
  function init()
    for number, call in ipairs(bodies) do requests[number] = wrk.format(nil, call[1], nil, call[2]) end
  end
  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end
end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\nBENCH {"answers": %d, "us": %d, "p50_us": %.1f, "p99_us": %.1f, "mean_us": %.3f, "errors": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.mean,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""
_GRPC_HEADERS = {"content-type": "application/grpc", "te": "trailers"}


class NoLoad(Exception):
    """The load could not be made, or its report not be read."""


def closed_loop(calls: list[Call], connections: int, seconds: float, cores: tuple[int, ...]) -> Sample:
    """Each connection asks again as soon as it is answered; several calls (of one server) take turns."""
    if calls[0].grpc and shutil.which("h2load"):
        return _h2load(calls[0], connections, seconds, cores)
    if not calls[0].grpc and shutil.which("wrk"):
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
        url = f"http://{calls[0].address}"
        output, load_share = _run([*command, "-s", str(script), url], cores, seconds, told)
    found = re.search(r"^BENCH (.*)$", output, re.MULTILINE)
    if found is None or "nan" in found[1]:
        raise NoLoad(output[-300:])
    return wrk_sample(json.loads(found[1]), connections, load_share)


def wrk_sample(told: dict[str, float], connections: int, load_share: float) -> Sample:
    """What wrk's report says; NoLoad for one without right answers."""
    answers, errors = int(told["answers"]), int(told["errors"])
    if answers <= errors:
        raise NoLoad(f"{answers} answers, {errors} of them wrong")
    # One connection's rate is one over its mean latency, also where the turn holds only a few answers.
    per_s = 1e6 / told["mean_us"] if connections == 1 else answers / told["us"] * 1e6
    return Sample(per_s, told["p50_us"] / 1000, told["p99_us"] / 1000, answers, errors, load_share=load_share)


def _h2load(call: Call, connections: int, seconds: float, cores: tuple[int, ...]) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(call.framed)
        headers = [part for name, value in _GRPC_HEADERS.items() for part in ("-H", f"{name}: {value}")]
        shape = ["-t1", f"-c{connections}", "-m1", f"-D{round(1000 * seconds)}ms"]
        # Windows as large as a gRPC client's, so that large bodies are not sent in steps of 64 KiB.
        told = ["-d", str(body), *headers, "-w24", "-W24", f"--log-file={log}", call.url]
        output, load_share = _run(["h2load", *shape, *told], cores, seconds)
        lines = log.read_text().splitlines()
    return h2load_sample(output, lines, call.answer_bytes, seconds, load_share)


def h2load_sample(
    output: str, lines: list[str], answer_bytes: int, seconds: float, load_share: float
) -> Sample:
    """What h2load's report and its log say. A gRPC error is a 200 without a message: the bytes that came tell."""
    asked = [line.split() for line in lines]
    latencies = sorted(float(one[2]) / 1000 for one in asked if one[1] == "200")
    data = re.search(r"\((\d+)\) data$", output, re.MULTILINE)
    if not latencies or data is None:
        raise NoLoad(output[-300:])
    answers = len(latencies)
    right = min(answers, int(data[1]) // answer_bytes) if answer_bytes else answers
    errors = len(asked) - right
    if errors > right:
        raise NoLoad(f"{errors} of {len(asked)} answers had no message, or a short one")
    p50, p99 = percentile(latencies, 50), percentile(latencies, 99)
    return Sample(answers / seconds, p50, p99, answers, errors, load_share=load_share)


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
        output, load_share = _run(command, cores, seconds)
    told = json.loads(output)
    answers = told["answers"]
    if not answers:
        raise NoLoad(told["first_error"] or "no answer at all")
    per_s = answers / told["seconds"]
    # An open loop looks at the clock all the time: how busy its core was says nothing.
    load_share = 0.0 if rate else load_share
    return Sample(per_s, told["p50_ms"], told["p99_ms"], answers, told["errors"], load_share=load_share)


def _run(
    command: list[str], cores: tuple[int, ...], seconds: float, told: dict[str, str] | None = None
) -> tuple[str, float]:
    """What it printed, and what share of a core it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
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
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / seconds
