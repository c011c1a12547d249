"""The gRPC server under nghttp2's own client, which shares no code with grpcio and cuts frames in other places."""

from __future__ import annotations

import asyncio
import re
import shutil

import pytest

from tests.dataplane.http2_peer import ECHO, message, serving

pytestmark = pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is nghttp2's")


@pytest.mark.parametrize(("size", "calls"), [(20, 3000), (600_000, 60)])
async def test_every_call_is_answered_whole_when_many_come_at_once(tmp_path, size, calls):
    body = tmp_path / "body"
    body.write_bytes(message(b"x" * size))
    headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    load = ("-n", str(calls), "-c", "3", "-m", "20", "-d", str(body))
    async with serving() as (_, port):
        program = await asyncio.create_subprocess_exec(
            "h2load", *load, *headers, f"http://127.0.0.1:{port}{ECHO}", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(program.communicate(), 60)
    said = output.decode()
    assert f"{calls} succeeded, 0 failed, 0 errored" in said
    assert f"status codes: {calls} 2xx" in said
    received = re.search(r"\((\d+)\) data", said)
    assert received is not None
    assert int(received[1]) == calls * (size + 5)
