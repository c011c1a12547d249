"""An engine killed under load: what was in flight on it may fail, and nothing else may; labels are as acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import pytest

BODY = b'{"inputs": [[1.0], [2.0]]}'
HEAD = (
    b"POST /v1/models/version/labels/live:predict HTTP/1.1\r\nHost: localhost\r\n"
    + f"Content-Length: {len(BODY)}\r\n\r\n".encode()
    + BODY
)
STREAMS = 4


@dataclass(frozen=True)
class Asked:
    """One request: when its connection was opened, when it was sent and when it was over; None: it was cut off."""

    opened: float
    sent: float
    ended: float
    answer: tuple[int, bytes] | None


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bytes]:
    writer.write(HEAD)
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = (
        int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    return int(head.split()[1]), await reader.readexactly(length)


async def ask_on_one_connection(address, stop: asyncio.Event, asked: list[Asked]) -> None:
    """Until it is cut off."""
    reader, writer = await asyncio.open_connection(*address)
    opened = time.monotonic()
    try:
        while not stop.is_set():
            sent, answer = time.monotonic(), None
            try:
                answer = await ask(reader, writer)
            finally:
                asked.append(Asked(opened, sent, time.monotonic(), answer))
    finally:
        writer.close()


async def ask_without_end(url: str, stop: asyncio.Event, asked: list[Asked]) -> None:
    """One request after another; on a new connection when one is cut off."""
    parts = urlsplit(url)
    while not stop.is_set():
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await ask_on_one_connection((parts.hostname, parts.port), stop, asked)
        await asyncio.sleep(0.01)


def move_label(engine, version: int) -> None:
    engine.call("PUT", "/control/models/version/labels/live", version=version)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.nightly)])
async def test_only_requests_in_flight_fail_when_the_engine_is_killed_under_load(
    saved_models, start_engine, tmp_path, kills
) -> None:
    flags = (
        f"--model_base_path={saved_models}/version",
        "--model_name=version",
        f"--state_dir={tmp_path}/state",
        f"--rest_api_port={free_port()}",
    )
    engine = await asyncio.to_thread(start_engine, *flags)
    engine.call("PUT", "/control/models/version/policy", specific={"versions": [1, 2]})
    for version in (1, 2):
        engine.wait_version("version", version)
    move_label(engine, 1)
    moves, killed = [(0.0, 0.0, 1)], []
    asked: list[Asked] = []
    stop = asyncio.Event()
    streams = [
        asyncio.ensure_future(ask_without_end(engine.connection.rest_url, stop, asked))
        for _ in range(STREAMS)
    ]

    async def answered(since: float) -> None:
        end = time.monotonic() + 60
        while sum(a.answer is not None and a.sent > since for a in asked) < 50:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    for number in range(kills):
        await answered(time.monotonic())
        version, begun = (2, 1)[number % 2], time.monotonic()
        await asyncio.to_thread(move_label, engine, version)
        moves.append((begun, time.monotonic(), version))
        children = engine.processes()
        killed.append(time.monotonic())
        engine.process.kill()
        await asyncio.to_thread(engine.process.wait, 10)
        await asyncio.to_thread(psutil.wait_procs, children, 10)
        engine = await asyncio.to_thread(start_engine, *flags)
    await answered(time.monotonic())
    stop.set()
    await asyncio.gather(*streams)

    failed = [one for one in asked if one.answer is None]
    assert len(failed) <= STREAMS * kills
    assert all(any(one.opened < kill < one.ended for kill in killed) for one in failed)
    for one in asked:
        if one.answer is None:
            continue
        status, body = one.answer
        assert status == 200, body
        outputs = json.loads(body)["outputs"]
        (version,) = {row[0] for row in outputs["y"]} | set(outputs["version"])
        last = max(index for index, (_, acknowledged, _) in enumerate(moves) if acknowledged <= one.sent)
        may_be_seen = {v for begun, _, v in moves[last:] if begun <= one.ended}
        assert version in may_be_seen
