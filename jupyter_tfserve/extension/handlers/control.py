"""The engine's control API behind Jupyter's door: listed calls only, with our token, paths checked first."""

from __future__ import annotations

import json
import re
from http.client import responses
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlencode

from tornado import web

from jupyter_tfserve.engine.control_call import Reply
from jupyter_tfserve.errors import invalid_argument, not_found
from jupyter_tfserve.extension.base_paths import allowed_path, check_path
from jupyter_tfserve.extension.handlers.base import TFServeHandler, guarded

CALL_TIMEOUT_S: Final = 30.0
LOAD_TIMEOUT_S: Final = 330.0
"""Calls that wait for a version to load."""
PASSED_QUERY: Final[tuple[str, ...]] = ("version", "timeout_s", "limit")

CALLS: Final[dict[str, tuple[str, ...]]] = {
    "GET": ("state", "figures", "history", "models/*/signatures", "models/*/versions/*/wait"),
    "POST": ("open", "config", "models/*/refresh", "models/*/versions/*/load"),
    "PUT": ("models/*/labels/*", "models/*/policy", "models/*/limits"),
    "DELETE": ("models/*", "models/*/labels/*"),
}
"""What may be called. Not `shutdown`: the supervisor would have to guess why its engine went away. Not `keys`: who
may make one hands out access, which is for whoever holds the engine's own token."""

_CONTROL_CHARACTER: Final = re.compile("[\x00-\x1f\x7f]")


def engine_path(method: str, raw_path: str) -> str:
    """The path to ask the engine for; NOT_FOUND if `method raw_path` is no call in the list.

    Parts are compared decoded and sent encoded anew, so that no encoding can smuggle a slash or a dot in.
    """
    parts = [_decode(part) for part in raw_path.split("/")]
    for pattern in CALLS[method]:
        wanted = pattern.split("/")
        if len(wanted) == len(parts) and all(w in ("*", p) for w, p in zip(wanted, parts, strict=True)):
            return "/control/" + "/".join(quote(part, safe="") for part in parts)
    raise not_found(f"there is no control call {method} {raw_path[:200]}")


def _decode(part: str) -> str:
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise invalid_argument("the path is not UTF-8") from None
    if text in ("", ".", "..") or "/" in text or _CONTROL_CHARACTER.search(text):
        raise invalid_argument("the path holds a part that is no name")
    return text


class ControlHandler(TFServeHandler):
    """`engines/NAME/control/…`"""

    @guarded("read")
    async def get(self, name: str, path: str) -> None:
        """What the engine knows."""
        await self._pass(name, None)

    @guarded("execute")
    async def post(self, name: str, path: str) -> None:
        """Serve folders. A model is a program, so this is `execute`."""
        body = self.json_body()
        call = engine_path("POST", self._raw_path())
        if call == "/control/open":
            body = {**body, "path": self._allowed(body.get("path"))}
        elif call == "/control/config":
            self._check_config(body.get("text"))
        await self._pass(name, json.dumps(body).encode())

    @web.authenticated
    async def put(self, name: str, path: str) -> None:
        """Labels and limits are `write`. A policy loads versions, so it is `execute`."""
        call = engine_path("PUT", self._raw_path())
        await (self._load(name) if call.split("/")[4] == "policy" else self._write(name))

    @guarded("execute")
    async def _load(self, name: str) -> None:
        await self._pass(name, json.dumps(self.json_body()).encode())

    @guarded("write")
    async def _write(self, name: str) -> None:
        await self._pass(name, json.dumps(self.json_body()).encode())

    @guarded("write")
    async def delete(self, name: str, path: str) -> None:
        """Models and labels that go."""
        await self._pass(name, None)

    async def _pass(self, name: str, body: bytes | None) -> None:
        method = self.request.method or ""
        path = engine_path(method, self._raw_path())
        query = {
            key: self.get_query_argument(key) for key in PASSED_QUERY if key in self.request.query_arguments
        }
        timeout_s = LOAD_TIMEOUT_S if method == "POST" or path.endswith("/wait") else CALL_TIMEOUT_S
        suffix = f"?{urlencode(query)}" if query else ""
        reply = await self.engines.call(name, method, path + suffix, body, timeout_s)
        self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        self.set_status(reply.status, None if reply.status in responses else "Unknown")
        self.finish(reply.body)

    def _raw_path(self) -> str:
        return self.request.path.partition("/control/")[2]

    def _allowed(self, path: object) -> str:
        if not isinstance(path, str):
            raise invalid_argument("the body needs 'path' as text")
        options = self.extension_options
        return allowed_path(path, str(options.root_dir), options.allowed_base_paths)

    def _check_config(self, text: object) -> None:
        if not isinstance(text, str):
            raise invalid_argument("the body needs 'text' as text")
        # Here, since generated messages are not free to import; TensorFlow is not among them.
        from jupyter_tfserve.lifecycle.config_proto import parse_config

        for model in parse_config(text) or ():
            # As it is written: the engine is sent the text itself. It refuses relative paths itself.
            path = model.base_path
            if "\0" in path:
                raise invalid_argument("a base path must name a folder")
            check_path(path, self.extension_options.allowed_base_paths, path)
