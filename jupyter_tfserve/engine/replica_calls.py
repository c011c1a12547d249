"""The control routes of how many processes serve a model's versions, and where these run; see `control`."""

from __future__ import annotations

from typing import Any

from jupyter_tfserve.engine.control import ControlRequest, ControlRouter, Reply
from jupyter_tfserve.engine.version_runtime import VersionRuntime
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.history import EventKind, History
from jupyter_tfserve.types import ModelSpec


class ReplicaCalls:
    """The calls of one engine."""

    def __init__(self, core: ServerCore[VersionRuntime], history: History) -> None:
        self._core = core
        self._history = history

    def add_routes(self, router: ControlRouter) -> None:
        """Puts the routes beside those that are there."""
        router.add("GET", "/control/models/{model}/replicas", self._get)
        router.add("PUT", "/control/models/{model}/replicas", self._set)

    async def _get(self, request: ControlRequest) -> Reply:
        model, state = request.parts["model"], self._core.desired
        state.model(model)
        versions = self._core.serving_map.available(model)
        return {
            "replicas": state.replicas.get(model),
            "versions": {str(number): replicas_of(self._core, model, number) for number in sorted(versions)},
        }

    async def _set(self, request: ControlRequest) -> Reply:
        model, count = request.parts["model"], request.body.get("replicas")
        detail = "as the server was started" if count is None else count
        await self._core.change(
            lambda state: state.with_replicas(model, count),
            lambda: self._history.record(EventKind.CONFIG, model, None, f"replicas {detail}"),
        )
        return await self._get(request)


def replicas_of(core: ServerCore[VersionRuntime], model: str, version: int) -> list[dict[str, Any]]:
    """The processes that serve a version, as the state document shows them; none if it does not serve."""
    try:
        with core.serving_map.lookup(ModelSpec(model, version)) as handle:
            return [{"pid": worker.pid, "device": worker.device} for worker in handle.loader.workers]
    except ServingError:
        return []
