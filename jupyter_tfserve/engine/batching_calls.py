"""The control routes of a model's batching: what is set, what holds, and what was learned; see `control`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from jupyter_tfserve.engine.control import ControlRequest, ControlRouter, Reply
from jupyter_tfserve.engine.version_runtime import VersionRuntime
from jupyter_tfserve.lifecycle.batching_settings import batching_from_json
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.history import EventKind, History
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import ModelSpec


class BatchingCalls:
    """The calls of one engine; `options` are what it was started with."""

    def __init__(self, core: ServerCore[VersionRuntime], history: History, options: BatchOptions) -> None:
        self._core = core
        self._history = history
        self._options = options

    def add_routes(self, router: ControlRouter) -> None:
        """Puts the routes beside those that are there."""
        router.add("GET", "/control/models/{model}/batching", self._get)
        router.add("PUT", "/control/models/{model}/batching", self._set)

    async def _get(self, request: ControlRequest) -> Reply:
        model, state = request.parts["model"], self._core.desired
        state.model(model)
        settings = state.batching.get(model)
        versions = self._core.serving_map.available(model)
        return {
            "settings": {} if settings is None else settings.to_json(),
            "versions": {str(number): self._version(model, number) for number in sorted(versions)},
        }

    def _version(self, model: str, number: int) -> Reply:
        with self._core.serving_map.lookup(ModelSpec(model, number)) as handle:
            return _version(handle.loader)

    async def _set(self, request: ControlRequest) -> Reply:
        model, batching = request.parts["model"], batching_from_json(request.body)

        def edit(state: DesiredState) -> DesiredState:
            batching.applied(self._options)
            return state.with_batching(model, batching)

        detail = json.dumps(batching.to_json()) if not batching.is_unchanged else "as the server was started"
        await self._core.change(
            edit, lambda: self._history.record(EventKind.CONFIG, model, None, f"batching {detail}")
        )
        return await self._get(request)


def batching_of(state: DesiredState, model: str) -> dict[str, Any] | None:
    """The model's settings as the state document shows them; None if it has none."""
    settings = state.batching.get(model)
    return None if settings is None else settings.to_json()


def _version(version: VersionRuntime) -> Reply:
    options = version.batching
    return {
        "max_batch_size": options.max_batch_size,
        "batch_timeout_micros": options.batch_timeout_micros,
        "target_p99_ms": options.target_p99_ms,
        "allowed_batch_sizes": list(options.allowed_batch_sizes),
        "is_adaptive": options.enabled and not options.strict,
        "turns": version.turns.name.lower(),
        "learned": {
            key: {**asdict(each), "milliseconds": {str(n): ms for n, ms in each.milliseconds.items()}}
            for key, each in version.learned_batching().items()
        },
    }
