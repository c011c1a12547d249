"""Somebody who asks another model during an overload, at a constant rate, from a process of its own: what it waits for
is the server, and not the event loop of whoever makes the load.

    python -m tests.reliability.neighbour URL MODEL RATE SECONDS
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
BODY = '{"instances": [1.0]}'


async def neighbour(
    url: str, model: str, rate: float, seconds: float, since_s: float = 0
) -> dict[int, list[float]]:
    """Milliseconds by status, from when each request was due, of those that were due after `since_s`."""
    command = [sys.executable, "-m", "tests.reliability.neighbour", url, model, str(rate), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[int, list[float]] = {}
    for due_s, status, took_ms in json.loads(told):
        if due_s >= since_s:
            found.setdefault(status, []).append(took_ms)
    return found


def ask(url: str, model: str, rate: float, seconds: float) -> list[tuple[float, int, float]]:
    """(when it was due, status, milliseconds since then) of each request; the next waits for it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    begun, asked = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        due_s = number / rate
        time.sleep(max(begun + due_s - time.perf_counter(), 0))
        connection.request("POST", f"/v1/models/{model}:predict", BODY)
        answer = connection.getresponse()
        answer.read()
        asked.append((due_s, answer.status, (time.perf_counter() - begun - due_s) * 1000))
    return asked


if __name__ == "__main__":
    print(json.dumps(ask(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))))
