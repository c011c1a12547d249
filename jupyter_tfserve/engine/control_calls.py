"""What each control route does: edits of the one desired state, and views of it.

Thin over `lifecycle.core`, which owns the rules; see `control` for the transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from jupyter_tfserve.engine.access_calls import AccessCalls, limits_of
from jupyter_tfserve.engine.batching_calls import batching_of
from jupyter_tfserve.engine.config_calls import apply_text
from jupyter_tfserve.engine.control import ControlRequest, ControlRouter, Reply
from jupyter_tfserve.engine.figures import Figures
from jupyter_tfserve.engine.load_progress import LoadProgress
from jupyter_tfserve.engine.replica_calls import replicas_of
from jupyter_tfserve.engine.version_runtime import VersionRuntime
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.lifecycle.config import ModelConfig, policy_from_json, policy_to_json
from jupyter_tfserve.lifecycle.core import ModelState, ServerCore
from jupyter_tfserve.lifecycle.folder_check import check_in_folder
from jupyter_tfserve.lifecycle.history import History
from jupyter_tfserve.lifecycle.labels import check_label
from jupyter_tfserve.lifecycle.policy import Latest, Specific
from jupyter_tfserve.lifecycle.resolve import resolve_base_path
from jupyter_tfserve.lifecycle.states import VersionStatus
from jupyter_tfserve.types import ModelSpec, ServableId, Signature, TensorSpec

MAX_WAIT_S = 3600.0
MAX_HISTORY = 1000


class ControlCalls:
    """The calls of one engine. `describe` tells the engine's own part of the state, `shut_down` ends it."""

    def __init__(
        self,
        core: ServerCore[VersionRuntime],
        history: History,
        figures: Figures,
        describe: Callable[[], Reply],
        shut_down: Callable[[bool], None],
        access: AccessCalls,
    ) -> None:
        self._access = access
        self._core = core
        self._history = history
        self._figures = figures
        self._describe = describe
        self._shut_down = shut_down
        self._progress = LoadProgress()
        core.manager.add_listener(self._progress.follow)

    def router(self) -> ControlRouter:
        """Every route of the control API."""
        router = ControlRouter()
        router.add("GET", "/control/state", self._state)
        router.add("GET", "/control/figures", self._read_figures)
        router.add("POST", "/control/open", self._open)
        router.add("DELETE", "/control/models/{model}", self._remove_model)
        router.add("PUT", "/control/models/{model}/labels/{label}", self._set_label)
        router.add("DELETE", "/control/models/{model}/labels/{label}", self._remove_label)
        router.add("PUT", "/control/models/{model}/policy", self._set_policy)
        router.add("POST", "/control/models/{model}/refresh", self._refresh)
        router.add("GET", "/control/models/{model}/versions/{version}/wait", self._wait)
        router.add("POST", "/control/models/{model}/versions/{version}/load", self._load)
        router.add("GET", "/control/models/{model}/signatures", self._signatures)
        router.add("POST", "/control/config", self._config)
        router.add("GET", "/control/history", self._events)
        router.add("POST", "/control/shutdown", self._shutdown)
        self._access.add_routes(router)
        return router

    def listing(self) -> Reply:
        """Every model with its versions and labels, for `GET /v1/models`: nothing that only the host's user may know."""
        return {"models": [_listed(model) for model in self._core.states()]}

    async def _state(self, request: ControlRequest) -> Reply:
        models = [self._model(model) for model in self._core.states()]
        return {"engine": self._describe(), "models": models}

    async def _read_figures(self, request: ControlRequest) -> Reply:
        return await self._figures.document()

    async def _open(self, request: ControlRequest) -> Reply:
        path = request.field("path", str)
        name = request.body.get("name")
        if name is not None and not isinstance(name, str):
            raise invalid_argument("'name' must be a string")
        create = bool(request.body.get("create"))
        resolved = await asyncio.to_thread(resolve_base_path, path, name, create, self._core.allowed_roots)
        opened = await self._core.open_models(resolved)
        notes = [*resolved.notes] if opened else []
        notes += [
            _served_already(m) for m in resolved.models if m.name not in opened and m.policy != Latest()
        ]
        return {"models": [model.name for model in resolved.models], "notes": notes}

    async def _remove_model(self, request: ControlRequest) -> Reply:
        await self._core.remove_model(request.parts["model"])
        return {}

    async def _set_label(self, request: ControlRequest) -> Reply:
        version = request.field("version", int)
        parts = request.parts
        check_label(parts["label"])
        return {"previous": await self._core.set_label(parts["model"], parts["label"], version)}

    async def _remove_label(self, request: ControlRequest) -> Reply:
        return {"previous": await self._core.remove_label(request.parts["model"], request.parts["label"])}

    async def _set_policy(self, request: ControlRequest) -> Reply:
        model, policy = request.parts["model"], policy_from_json(request.body)
        if isinstance(policy, Specific):
            await self._check_in_folder(model, policy.versions)
        await self._core.set_policy(model, policy)
        return {}

    async def _check_in_folder(self, model: str, versions: tuple[int, ...]) -> None:
        live = self._core.manager.live_versions(model)
        await asyncio.to_thread(check_in_folder, self._core.desired.model(model), versions, live)

    async def _refresh(self, request: ControlRequest) -> Reply:
        await self._core.refresh(request.parts["model"])
        return {}

    async def _wait(self, request: ControlRequest) -> Reply:
        timeout_s = min(request.number("timeout_s", 60.0), MAX_WAIT_S)
        model, version = request.parts["model"], request.version()
        return self._version(model, await self._core.wait_version(model, version, timeout_s))

    async def _load(self, request: ControlRequest) -> Reply:
        model, version = request.parts["model"], request.version()
        if request.body.get("hold") is True:
            await self._check_in_folder(model, (version,))
            self._core.hold(model, version)
        return {"wanted": await self._core.try_again(model, version)}

    async def _signatures(self, request: ControlRequest) -> Reply:
        version = int(request.number("version", -1)) if "version" in request.query else None
        with self._core.serving_map.lookup(ModelSpec(request.parts["model"], version)) as handle:
            signatures = handle.loader.signatures
            documents = {key: _signature(signature) for key, signature in signatures.items()}
            return {"version": handle.id.version, "signatures": documents}

    async def _config(self, request: ControlRequest) -> Reply:
        return {"notes": [*await apply_text(self._core, request.field("text", str))]}

    async def _events(self, request: ControlRequest) -> Reply:
        limit = max(1, min(int(request.number("limit", 50)), MAX_HISTORY))
        return {"events": [asdict(event) for event in await self._history.events(limit)]}

    async def _shutdown(self, request: ControlRequest) -> Reply:
        self._shut_down(request.body.get("keep_models") is True)
        return {}

    def _model(self, model: ModelState) -> Reply:
        return {
            "name": model.config.name,
            "base_path": model.config.base_path,
            "policy": policy_to_json(model.config.policy),
            "labels": dict(model.labels),
            "limits": limits_of(self._core.desired, model.config.name),
            "batching": batching_of(self._core.desired, model.config.name),
            "replicas": self._core.desired.replicas.get(model.config.name),
            "problem": model.problem,
            "first_load_pending": self._core.first_load_pending(ModelSpec(model.config.name)),
            "versions": [self._version(model.config.name, status) for status in model.versions],
        }

    def _version(self, model: str, status: VersionStatus) -> Reply:
        replicas = replicas_of(self._core, model, status.version)
        return {
            "version": status.version,
            "state": status.state.name,
            "error_code": status.code.name,
            "error_message": status.message,
            "pid": replicas[0]["pid"] if replicas else None,
            "replicas": replicas,
            **self._progress.document(ServableId(model, status.version)),
        }


def _listed(model: ModelState) -> Reply:
    return {
        "name": model.config.name,
        "labels": dict(model.labels),
        "versions": [{"version": status.version, "state": status.state.name} for status in model.versions],
    }


def _served_already(model: ModelConfig) -> str:
    """For a path that is one version of a model whose versions were chosen before."""
    return f"{model.name} is served already, with its own choice of versions: nothing has changed."


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "method_name": signature.method_name,
        "inputs": {alias: _spec(spec) for alias, spec in signature.inputs.items()},
        "outputs": {alias: _spec(spec) for alias, spec in signature.outputs.items()},
    }


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"dtype": spec.dtype, "shape": None if spec.shape is None else list(spec.shape)}
