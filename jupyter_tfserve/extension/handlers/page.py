"""The page for people without JupyterLab, `<base_url>/jupyter-tfserve/`, and the programs that it shows.

Its files name each other, the API and the data plane by relative addresses: it is right behind any prefix.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin

from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.extension.handlers.base import RESOURCE, TFServeHandler, guarded

FILES: Final[Mapping[str, str]] = {
    "ask.js": "text/javascript; charset=utf-8",
    "figures.js": "text/javascript; charset=utf-8",
    "jupyter.js": "text/javascript; charset=utf-8",
    "served.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
}
MAX_BODY_BYTES: Final = 128 * 2**10
MAX_URL_LENGTH: Final = 4096
LOGIN_NOTE: Final = (
    "The program reads a token from the variable JUPYTER_TOKEN: the Jupyter server's, which "
    "`jupyter server list` shows, or under JupyterHub one of yours from its page Token."
)

_FOLDER: Final = Path(__file__).parent.parent / "page"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


class PageFileHandler(ExtensionHandlerMixin, JupyterHandler):
    """One file of the page. Whoever is not signed in is sent to Jupyter's login."""

    auth_resource = RESOURCE

    @property
    def content_security_policy(self) -> str:
        """Jupyter's, and nothing that is not this server's own file."""
        return f"{super().content_security_policy}; {_POLICY}"

    def set_default_headers(self) -> None:
        """Jupyter's, and `nosniff` whatever the server's `headers` setting says."""
        super().set_default_headers()
        self.set_header("X-Content-Type-Options", "nosniff")

    @guarded("read")
    async def get(self, name: str) -> None:
        """A script or the style sheet."""
        self.send_file(name, FILES[name])

    def send_file(self, name: str, content_type: str) -> None:
        """Finish with that file; a browser asks each time whether it has changed."""
        self.set_header("Content-Type", content_type)
        self.set_header("Cache-Control", "no-cache")
        self.finish(_content(name))


class PageHandler(PageFileHandler):
    """The page itself."""

    @guarded("read")
    async def get(self) -> None:  # type: ignore[override]
        """The page, at the address with a slash: relative addresses count from there."""
        if not self.request.path.endswith("/"):
            self.redirect(f"{self.request.path.rpartition('/')[2]}/")
            return
        # Asked for, it is sent as a cookie, which the page's script gives back with each POST.
        _ = self.xsrf_token
        self.send_file("index.html", "text/html; charset=utf-8")


class ProgramsHandler(TFServeHandler):
    """A request as programs to copy. Nothing is sent anywhere."""

    @guarded("read")
    async def post(self) -> None:
        """The programs, by language."""
        if len(self.request.body) > MAX_BODY_BYTES:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED, f"the body is larger than {MAX_BODY_BYTES} bytes", "Send fewer rows."
            )
        # Here, since they bring numpy, which a Jupyter server that shows no program does without.
        from jupyter_tfserve.client.programs import TITLES, rest_texts
        from jupyter_tfserve.extension.grpc_program import grpc_program, parse_target

        asked = self.json_body()
        url, document, needs_token = _asked(asked)
        target = parse_target(asked.get("grpc"))
        texts = await asyncio.to_thread(rest_texts, url, document, needs_token)
        if target is not None and (text := await grpc_program(self.engines, target, document)):
            texts["grpc"] = text
        programs = [{"language": name, "title": TITLES[name], "text": text} for name, text in texts.items()]
        self.reply({"programs": programs, "token_note": LOGIN_NOTE})


def _asked(asked: dict[str, Any]) -> tuple[str, dict[str, Any], bool]:
    url, body, needs_token = asked.get("url"), asked.get("body"), asked.get("needs_token", False)
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or len(url) > MAX_URL_LENGTH:
        raise invalid_argument(f"'url' must be an address of http or https, at most {MAX_URL_LENGTH} long")
    if not isinstance(body, str):
        raise invalid_argument("'body' must be text: the request's body")
    if not isinstance(needs_token, bool):
        raise invalid_argument("'needs_token' must be true or false")
    return url, _document(body), needs_token


def _document(body: str) -> dict[str, Any]:
    """The request in `body`, parsed here: a browser would make `1` of `1.0`, which some models tell apart."""
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise invalid_argument("the request's body is not JSON") from None
    if not isinstance(document, dict):
        raise invalid_argument("the request's body must be a JSON object")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


@cache
def _content(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
