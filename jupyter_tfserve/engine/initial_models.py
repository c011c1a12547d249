"""What the command line says to serve: one folder, or a config file that may be followed while the engine runs.

A config file is applied when its text changes, not each time that it is read: labels and policies that were set
while the engine ran are acknowledged changes too, and outlive a poll and a restart.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from jupyter_tfserve.engine.flag_values import read_text
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.config_places import refused_entry, with_place
from jupyter_tfserve.lifecycle.config_proto import parse_config
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.resolve import ResolvedModels, resolve_base_path
from jupyter_tfserve.options import EngineOptions

logger = logging.getLogger(__name__)

DEFAULT_MODEL_NAME: Final = "default"
KNOWN_TIMEOUT_S: Final = 1.0
DIGEST_FILE: Final = "model_config.sha256"


class ConfigFile:
    """A ModelServerConfig file; `text` is what it held when the engine started, and it parsed."""

    def __init__(self, file: str, text: str, poll_s: float, state_dir: Path | None) -> None:
        self._file = file
        self._text = text
        self._poll_s = poll_s
        self._digest_file = None if state_dir is None else state_dir / DIGEST_FILE
        self._applied = "" if self._digest_file is None else _read_digest(self._digest_file)

    async def follow(self, core: ServerCore[Any]) -> None:
        """Applies the file, then every change of it, for as long as the engine runs."""
        restored = bool(core.states())
        if not restored or _digest(self._text) != self._applied:
            await self._apply(core, self._text, self._tell_start)
        while self._poll_s > 0:
            await asyncio.sleep(self._poll_s)
            await self._reload(core)

    async def _reload(self, core: ServerCore[Any]) -> None:
        """A file that can't be read or applied leaves everything as it was, and is tried again."""
        try:
            text = await asyncio.to_thread(read_text, self._file)
            if _digest(text) != self._applied:
                await self._apply(core, text, self._tell_reload)
        except ServingError as error:
            logger.error("Failed to read ModelServerConfig file: %s", error)

    async def _apply(self, core: ServerCore[Any], text: str, tell: Callable[[ServingError], None]) -> None:
        """Applies what parses; what can't be applied is tried again by the next poll. `tell` is told why."""
        models = parse_config(text)
        if models is None or await self._is_applied(core, models, text, tell):
            self._applied = _digest(text)
            if self._digest_file is not None:
                await asyncio.to_thread(_write_digest, self._digest_file, self._applied)

    async def _is_applied(
        self,
        core: ServerCore[Any],
        models: tuple[ModelConfig, ...],
        text: str,
        tell: Callable[[ServingError], None],
    ) -> bool:
        """Whether the configuration holds now, even if some of its models failed or have no version yet."""
        current, poll_s = core.desired.by_name, self._poll_s
        try:
            # A model without a version is waited for without limit; the next poll must not wait for it.
            await asyncio.wait_for(core.apply_config(models), max(poll_s, 1.0) if poll_s > 0 else None)
        except asyncio.TimeoutError:
            return True
        except ServingError as error:
            tell(with_place(error, text, refused_entry(models, current, error)))
            # The configuration stands, and some of its models failed; any other code has changed nothing.
            return error.code is Code.UNKNOWN
        return True

    def _tell_start(self, error: ServingError) -> None:
        if error.code is Code.UNKNOWN:
            logger.error("Of the models in '%s', which is applied: %s", self._file, error)
            return
        again = (
            f"it is read again every {self._poll_s:g} s"
            if self._poll_s > 0
            else "start the server again, or apply it with `%tfserve config FILE`"
        )
        text = "The configuration in '%s' was refused, so none of its models is served: %s.%s Correct the file; %s."
        logger.error(text, self._file, error, _hint_text(error), again)

    def _tell_reload(self, error: ServingError) -> None:
        text = "PollFilesystemAndReloadConfig failed to ReloadConfig: %s ['%s'%s]"
        logger.error(text, error, self._file, _hint_text(error))


def _hint_text(error: ServingError) -> str:
    return f" {error.hint}" if error.hint else ""


@dataclass(frozen=True, slots=True)
class InitialModels:
    """What was opened or the config file, one of the two or neither, and the names of the models in it."""

    opened: ResolvedModels | None = None
    config_file: ConfigFile | None = None
    names: frozenset[str] = frozenset()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the folder that was given."""
        return self.opened.notes if self.opened is not None else ()

    async def apply(self, core: ServerCore[Any]) -> None:
        """Makes `core` serve them, then follows the config file for as long as the engine runs."""
        if self.opened is not None:
            await core.open_models(self.opened)
        if self.config_file is not None:
            await self.config_file.follow(core)

    def is_known(self, core: ServerCore[Any]) -> bool:
        """Whether `core` serves all of them: a configuration that was refused is not known."""
        return self.names <= {model.config.name for model in core.states()}

    async def wait_known(self, core: ServerCore[Any]) -> None:
        """Returns when `core` knows the models and their versions, loaded or not, so that requests for them wait
        and their status is told, instead of failing; or when that takes too long, as it does for a config that is
        refused.
        """
        try:
            await core.manager.changes.wait_until(
                lambda: (self.is_known(core) and core.have_looked()) or None, KNOWN_TIMEOUT_S
            )
        except ServingError:
            logger.warning("The configured models are not known yet")


def initial_models(options: EngineOptions) -> InitialModels:
    """The models to start with. A config file's models win over the base path, as upstream.

    INVALID_ARGUMENT or NOT_FOUND for a file or folder that can't be used: the engine should not start.
    """
    if options.model_config_file:
        return _from_config_file(options)
    if not options.model_base_path:
        return InitialModels()
    resolved = resolve_base_path(
        options.model_base_path, options.model_name or None, roots=options.lifecycle.allowed_roots
    )
    resolved = resolved if options.model_name else _with_default_name(resolved, options)
    return InitialModels(resolved, names=frozenset(model.name for model in resolved.models))


def _from_config_file(options: EngineOptions) -> InitialModels:
    file = options.model_config_file
    text = read_text(file)
    try:
        models = parse_config(text) or ()
    except ServingError as error:
        # As upstream: where the text is wrong stands above the line that ends the start.
        print(error.message, file=sys.stderr)
        hint = f"{error.message}.{_hint_text(error)}" if error.hint else error.message
        raise invalid_argument(f"Invalid protobuf file: '{file}'", hint) from None
    config_file = ConfigFile(file, text, options.model_config_file_poll_wait_seconds, options.state_dir)
    return InitialModels(config_file=config_file, names=frozenset(model.name for model in models))


def _with_default_name(resolved: ResolvedModels, options: EngineOptions) -> ResolvedModels:
    """Upstream calls the model at the base path `default`; models below it keep their folders' names."""
    base_path = os.path.abspath(os.path.expanduser(options.model_base_path))
    models = (
        replace(model, name=DEFAULT_MODEL_NAME) if model.base_path == base_path else model
        for model in resolved.models
    )
    return replace(resolved, models=tuple(models))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read_digest(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _write_digest(file: Path, digest: str) -> None:
    try:
        file.write_text(digest)
    except OSError as error:
        logger.warning("The applied configuration can't be remembered: %s", error.strerror)
