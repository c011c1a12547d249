"""Engines as resources: list, start, stop, restart, and the tail of a log."""

from __future__ import annotations

from typing import Any

from jupyter_tfserve._version import __version__
from jupyter_tfserve.engine.connection import API_LEVEL
from jupyter_tfserve.errors import invalid_argument, not_found
from jupyter_tfserve.extension.engines import DEFAULT_ENGINE, EngineRequest
from jupyter_tfserve.extension.handlers.base import TFServeHandler, guarded

MAX_LOG_LINES = 2000
_KIND_NAMES = {str: "text", int: "a whole number", bool: "true or false"}


class StatusHandler(TFServeHandler):
    """Whether the extension is here, its version, and its engines."""

    @guarded("read")
    async def get(self) -> None:
        """The status."""
        engines = [engine.to_json() for engine in self.engines.all()]
        self.reply({"api_level": API_LEVEL, "version": __version__, "engines": engines})


class EnginesHandler(TFServeHandler):
    """All engines."""

    @guarded("read")
    async def get(self) -> None:
        """The list."""
        self.reply({"engines": [engine.to_json() for engine in self.engines.all()]})

    @guarded("execute")
    async def post(self) -> None:
        """A running engine: the one of that name, started if it does not run."""
        engine = await self.engines.start(parse_request(self.json_body()))
        self.reply(engine.to_json())


class EngineHandler(TFServeHandler):
    """One engine."""

    @guarded("read")
    async def get(self, name: str) -> None:
        """How it is."""
        self.reply(self.engines.get(name).to_json())

    @guarded("write")
    async def delete(self, name: str) -> None:
        """Stopped and gone."""
        await self.engines.stop(name)
        self.reply({})


class RestartHandler(TFServeHandler):
    """One engine's restart."""

    @guarded("execute")
    async def post(self, name: str) -> None:
        """The engine in a new process."""
        self.reply((await self.engines.restart(name)).to_json())


class LogHandler(TFServeHandler):
    """One engine's log."""

    @guarded("read")
    async def get(self, name: str) -> None:
        """Its last lines."""
        text = self.get_query_argument("lines", "100")
        if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:9]) <= MAX_LOG_LINES:
            raise invalid_argument(f"'lines' is a number from 1 to {MAX_LOG_LINES}")
        self.reply({"lines": self.engines.log_tail(name, int(text))})


class UnknownPathHandler(TFServeHandler):
    """Whatever else is asked for below our path: JSON like the rest, not Jupyter's page."""

    @guarded("read")
    async def get(self) -> None:
        """NOT_FOUND."""
        raise not_found("there is nothing at this address")

    @guarded("read")
    async def post(self) -> None:
        """NOT_FOUND."""
        raise not_found("there is nothing at this address")

    @guarded("read")
    async def put(self) -> None:
        """NOT_FOUND."""
        raise not_found("there is nothing at this address")

    @guarded("read")
    async def delete(self) -> None:
        """NOT_FOUND."""
        raise not_found("there is nothing at this address")


def parse_request(body: dict[str, Any]) -> EngineRequest:
    """What to start; INVALID_ARGUMENT for fields of another type. Unknown fields are ignored."""
    return EngineRequest(
        name=_optional(body, "name", str) or DEFAULT_ENGINE,
        rest_port=_optional(body, "rest_port", int),
        grpc_port=_optional(body, "grpc_port", int),
        host=_optional(body, "host", str),
        require_keys=bool(_optional(body, "require_keys", bool)),
    )


def _optional(body: dict[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if value is not None and type(value) is not kind:
        raise invalid_argument(f"'{name}' must be {_KIND_NAMES[kind]}")
    return value
