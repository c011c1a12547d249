"""The Jupyter server extension: wires configuration, engines and handlers; its engines end with it.

Its stop hook ends them; if the server dies without one, they see the end of their standard input. Imports no
TensorFlow, and puts nothing secret into the environment that kernels inherit.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from jupyter_server.extension.application import ExtensionApp

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.extension.config import TFServe
from jupyter_tfserve.extension.engines import EngineRequest, Engines
from jupyter_tfserve.extension.events import CHANGE_SCHEMA, CHANGE_SCHEMA_ID, Change, EngineWatch, event_data
from jupyter_tfserve.extension.handlers.base import ENGINES_SETTING, OPTIONS_SETTING
from jupyter_tfserve.extension.handlers.control import ControlHandler
from jupyter_tfserve.extension.handlers.engines import (
    EngineHandler,
    EnginesHandler,
    LogHandler,
    RestartHandler,
    StatusHandler,
    UnknownPathHandler,
)
from jupyter_tfserve.extension.handlers.page import FILES, PageFileHandler, PageHandler, ProgramsHandler
from jupyter_tfserve.extension.proxy import DataPlaneHandler

PREFIX = "/jupyter-tfserve"
HANDLERS: tuple[tuple[str, type], ...] = (
    (rf"{PREFIX}/api/status", StatusHandler),
    (rf"{PREFIX}/api/engines", EnginesHandler),
    (rf"{PREFIX}/api/engines/([^/]+)", EngineHandler),
    (rf"{PREFIX}/api/engines/([^/]+)/restart", RestartHandler),
    (rf"{PREFIX}/api/engines/([^/]+)/log", LogHandler),
    (rf"{PREFIX}/api/engines/([^/]+)/control/(.+)", ControlHandler),
    (rf"{PREFIX}/api/snippets", ProgramsHandler),
    (rf"{PREFIX}/v1/(.+)", DataPlaneHandler),
    (rf"{PREFIX}/static/({'|'.join(map(re.escape, FILES))})", PageFileHandler),
    (rf"{PREFIX}/?", PageHandler),
    (rf"{PREFIX}(?:/.*)?", UnknownPathHandler),
)


class TFServeExtension(ExtensionApp):
    """What `jupyter server extension enable jupyter_tfserve` loads."""

    name = "jupyter_tfserve"
    app_name = "TFServe"
    description = "Model serving from the Jupyter server"
    extension_url = f"{PREFIX}/api/status"
    load_other_extensions = True
    classes = [*ExtensionApp.classes, TFServe]  # noqa: RUF012
    _starting: asyncio.Task[None] | None = None
    _watching: asyncio.Task[None] | None = None

    def initialize_settings(self) -> None:
        """Reads the configuration and makes the engines' owner; starts nothing."""
        server: Any = self.serverapp
        options = TFServe(parent=self).to_options(server.root_dir)
        self.engines = Engines(options, self.log)
        self.settings[ENGINES_SETTING] = self.engines
        self.settings[OPTIONS_SETTING] = options
        server.event_logger.register_event_schema(CHANGE_SCHEMA)

    def initialize_handlers(self) -> None:
        """The routes; `base_url` is put before them by Jupyter."""
        self.handlers.extend(HANDLERS)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Called by Jupyter when its loop runs."""
        watch = EngineWatch(self.engines, self._announce)
        self.engines.on_change = watch.wake
        self._watching = asyncio.create_task(watch.run())
        if self.settings[OPTIONS_SETTING].start_policy == "eager":
            # Not awaited: a slow engine must not hold up the Jupyter server.
            self._starting = asyncio.create_task(self._start_default())

    async def _start_default(self) -> None:
        try:
            await self.engines.start(EngineRequest())
        except ServingError as error:
            self.log.warning("tfserve: the engine did not start: %s", error.message)

    def _announce(self, change: Change) -> None:
        server: Any = self.serverapp
        server.event_logger.emit(schema_id=CHANGE_SCHEMA_ID, data=event_data(change))

    async def stop_extension(self) -> None:
        """No engine is left."""
        if self._starting is not None:
            self._starting.cancel()
        if self._watching is not None:
            self._watching.cancel()
        await self.engines.stop_all()

    def current_activity(self) -> list[str] | None:
        """Something while requests are being served, which keeps the server from being culled as idle."""
        return ["model serving"] if self.engines.is_active() else None
