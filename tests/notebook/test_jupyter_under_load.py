"""O7: what a Jupyter server's own users notice while others load its proxy, and its engine, with all they have."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys

import httpx
import pytest

from jupyter_tfserve.notebook.api import connect
from jupyter_tfserve.notebook.discovery import Discovery
from tests.notebook.test_in_jupyter import jupyter_server

__all__ = ["jupyter_server"]

LARGE = json.dumps({"instances": [[float(n)] for n in range(100_000)]}).encode()
SMALL = b'{"instances": [[1.0]]}'
ROUNDS = 3
CALLERS = 4
ASK_JUPYTER = """
import http.client, select, sys, time
from urllib.parse import urlsplit
url, most = urlsplit(sys.argv[1]), int(sys.argv[2])
connection = http.client.HTTPConnection(url.hostname, url.port)
taken = []
while len(taken) < most if most else not select.select([sys.stdin], [], [], 0.01)[0]:
    began = time.perf_counter()
    connection.request("GET", url.path)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    taken.append((time.perf_counter() - began) * 1000)
print(*taken)
"""
"""Milliseconds that Jupyter took to say its version, until standard input ends, or so many times."""


def asking(url: str, most: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", ASK_JUPYTER, url, str(most)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def p99(asker: subprocess.Popen[bytes]) -> tuple[float, int]:
    """The asker is done: its p99, and how often it asked."""
    told, _ = asker.communicate(timeout=120)
    assert asker.returncode == 0
    taken = [float(each) for each in told.split()]
    return statistics.quantiles(taken, n=100)[98], len(taken)


@pytest.mark.nightly
async def test_jupyter_answers_meanwhile_when_its_proxy_is_loaded(
    jupyter_server, models_folder, record_case
) -> None:
    server = await asyncio.to_thread(connect, models_folder / "version", discovery=Discovery())
    status = await asyncio.to_thread(server.status)
    url = f"{status.jupyter_url}/v1/models/version:predict"
    base = status.jupyter_url.partition("/jupyter-tfserve")[0]
    alone, _ = await asyncio.to_thread(p99, asking(f"{base}/api", 300))
    asker = asking(f"{base}/api")
    failed = 0
    headers = {"Authorization": "token hush"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=120) as client:

        async def call(body: bytes) -> None:
            nonlocal failed
            for _ in range(ROUNDS if body is LARGE else ROUNDS * 50):
                answer = await client.post(url, content=body)
                failed += answer.status_code != 200
                assert answer.status_code == 200, answer.text[:300]

        await asyncio.gather(*(call(body) for body in (LARGE, SMALL) for _ in range(CALLERS)))
    meanwhile, asked = await asyncio.to_thread(p99, asker)
    await asyncio.to_thread(server.stop)
    record_case("L6", "p99 of Jupyter's own answers alone", alone, "ms")
    record_case("L6", "p99 of them while its proxy carries lists of 100,000", meanwhile, "ms")
    assert failed == 0
    assert asked > 10
