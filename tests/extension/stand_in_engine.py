"""A small program that is an engine to its owner: flags, connection file, control API, end of file.

Run as a script by tests of the supervisor and of the Jupyter extension. `/v1/...` answers with what it
received.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from jupyter_tfserve.engine.connection import Connection, remove_connection, write_connection

TOKEN = secrets.token_hex(16)
MODELS = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Quiet."""

    def answer(self, status, body, content_type="application/json", headers=()):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def read_body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def handle_any(self):
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"error": "no token", "code": "UNAUTHENTICATED", "hint": None})
            return
        path = urlsplit(self.path).path
        if path.startswith("/v1/"):
            self.data_plane(path)
        else:
            self.control(path)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def control(self, path):
        body = self.read_body()
        if path == "/control/state":
            engine = {"pid": os.getpid(), "api_level": 1, "ready": True}
            self.answer(200, {"engine": engine, "models": MODELS})
        elif path == "/control/shutdown":
            self.answer(200, {})
            if not OPTIONS.stubborn:
                leave(0)
        elif path == "/control/open":
            MODELS.append(json.loads(body))
            self.answer(200, {"models": ["m"], "notes": []})
        elif path == "/control/models/missing":
            self.answer(404, {"error": "no such model", "code": "NOT_FOUND", "hint": "a hint"})
        else:
            self.answer(200, {"method": self.command, "path": self.path, "body": body.decode()})

    def data_plane(self, path):
        if path == "/v1/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"only this")
            self.close_connection = True
        elif path == "/v1/drop":
            self.close_connection = True
        elif path == "/v1/silence":
            self.rfile.read(1)
            self.close_connection = True
        elif path == "/v1/redirect":
            self.answer(302, {}, headers=[("Location", f"http://127.0.0.1:{PORT}/control/state")])
        elif path.startswith("/v1/status/"):
            self.read_body()
            self.answer(int(path.rpartition("/")[2]), {"error": "as asked"}, headers=[("Retry-After", "7")])
        elif path == "/v1/stream":
            self.stream()
        elif path == "/v1/crash":
            leave(3)
        elif path == "/v1/page":
            cookie = [("Set-Cookie", "a=b"), ("Connection", "close"), ("Location", "x")]
            self.answer(200, b"<script>", "text/html", cookie)
        else:
            body = self.read_body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            document = {"method": self.command, "path": self.path, "headers": headers, "size": len(body)}
            document["body"] = body[:1000].decode("utf-8", "replace")
            self.answer(200, document)

    def stream(self):
        """Answers each chunk of the request as it comes: the answer begins before the request has ended."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while size := int(self.rfile.readline(), 16):
            content = self.rfile.read(size)
            self.rfile.readline()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
            self.wfile.flush()
        self.rfile.readline()
        self.wfile.write(b"0\r\n\r\n")


def leave(code):
    remove_connection(OPTIONS.connection_file, os.getpid())
    os._exit(code)


def leave_with_parent():
    sys.stdin.buffer.read()
    leave(0)


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("serve", nargs="?")
    parser.add_argument("--connection_file", type=Path)
    parser.add_argument("--rest_api_port", type=int, default=8501)
    parser.add_argument("--port", type=int, default=8500)
    parser.add_argument("--state_dir", type=Path)
    parser.add_argument("--exit_with_parent", action="store_true")
    parser.add_argument("--jupyter_server_pid", type=int)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--fail", help="print this reason and exit with 255")
    parser.add_argument("--silent", action="store_true", help="never publish a connection file")
    parser.add_argument("--stubborn", action="store_true", help="ignore requests and signals to stop")
    return parser.parse_known_args()[0]


def main():
    if OPTIONS.fail:
        print(f"Failed to start server. Error: {OPTIONS.fail}", flush=True)
        sys.exit(255)
    if OPTIONS.stubborn:
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif OPTIONS.exit_with_parent:
        threading.Thread(target=leave_with_parent, daemon=True).start()
    if not OPTIONS.silent:
        publish()
    SERVER.serve_forever()


def publish():
    me = psutil.Process()
    connection = Connection(
        pid=me.pid,
        create_time=me.create_time(),
        control_url=f"http://127.0.0.1:{PORT}",
        token=TOKEN,
        rest_url=f"http://127.0.0.1:{OPTIONS.rest_api_port if OPTIONS.rest_api_port > 0 else 12345}",
        grpc_address=f"127.0.0.1:{OPTIONS.port if OPTIONS.port > 0 else 12346}",
        version="0",
        api_level=1,
        jupyter_server_pid=OPTIONS.jupyter_server_pid,
        owner_pid=os.getppid(),
    )
    write_connection(OPTIONS.connection_file, connection)
    print("ready", flush=True)


if __name__ == "__main__":
    OPTIONS = parse_arguments()
    SERVER = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    SERVER.daemon_threads = True
    PORT = SERVER.server_address[1]
    main()
