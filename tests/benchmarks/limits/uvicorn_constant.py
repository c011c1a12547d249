"""The least that an HTTP server on Python's usual stack can do: reads a body, answers always the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn


def main(port: int, answer: bytes) -> None:
    """Serves until it is told to end."""
    length = str(len(answer)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]

    async def constant(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    uvicorn.run(constant, port=port, log_level="warning", access_log=False, lifespan="off")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes())
