"""A real HTTP server on loopback that answers as it is told and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Recorded:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class StandIn:
    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    requests: list[Recorded] = field(default_factory=list)

    def answer(self, document: Any, status: int = 200) -> None:
        self.status = status
        self.body = document if isinstance(document, bytes) else json.dumps(document).encode()


@contextlib.contextmanager
def serve_stand_in() -> Iterator[StandIn]:
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            stand_in.requests.append(Recorded(self.command, self.path, dict(self.headers), body))
            self.send_response(stand_in.status)
            self.send_header("Content-Type", stand_in.content_type)
            self.send_header("Content-Length", str(len(stand_in.body)))
            if stand_in.status == 302:
                self.send_header("Location", "/login")
            self.end_headers()
            self.wfile.write(stand_in.body)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
