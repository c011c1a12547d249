"""The least that an HTTP server on Python's usual stack can do: reads a body, answers each path always the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn


def main(port: int, answers: Path) -> None:
    """Serves until it is told to end."""
    messages = {
        f"/v1/models/{file.stem}:predict": _messages(file.read_bytes()) for file in answers.glob("*.json")
    }

    async def constant(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        start, body = messages[scope["path"]]
        await send(start)
        await send(body)

    uvicorn.run(constant, port=port, log_level="warning", access_log=False, lifespan="off")


def _messages(answer: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    return start, {"type": "http.response.body", "body": answer}


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
