"""The control routes that say who may ask, and how much: predict keys and limits of models.

Each is an edit of the one desired state, so that what was acknowledged is on disk and holds from the next request
on; see `control` for the transport.
"""

from __future__ import annotations

import time
from typing import Any, Final

from jupyter_tfserve.engine.control import ControlRequest, ControlRouter, Reply
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.durable import HoldsUnsaved, unsaved
from jupyter_tfserve.lifecycle.history import EventKind, History
from jupyter_tfserve.lifecycle.keys import ALL_MODELS, new_key
from jupyter_tfserve.lifecycle.limits import FlowLimits, limits_from_json

MAX_EXPIRES_S: Final = 10 * 366 * 86_400.0
_KEY_LIMITS: Final = ("requests_per_second", "burst", "max_in_flight")


class AccessCalls:
    """The calls of one engine. `keys_required`: whether its ports answer only those who show a key."""

    def __init__(self, core: ServerCore[Any], history: History, keys_required: bool) -> None:
        self._core = core
        self._history = history
        self._keys_required = keys_required
        self._revoked_unsaved: set[str] = set()

    def add_routes(self, router: ControlRouter) -> None:
        """Puts the routes beside those that are there."""
        router.add("GET", "/control/keys", self._keys)
        router.add("POST", "/control/keys", self._add_key)
        router.add("DELETE", "/control/keys/{key}", self._remove_key)
        router.add("PUT", "/control/models/{model}/limits", self._set_limits)

    async def _keys(self, request: ControlRequest) -> Reply:
        now = time.time()
        keys = [{**key.to_json(), "is_expired": key.is_expired(now)} for key in self._core.desired.keys]
        return {"keys": keys, "required": self._keys_required}

    async def _add_key(self, request: ControlRequest) -> Reply:
        body, now = request.body, time.time()
        models, name = _models(body.get("models")), body.get("name") or ""
        if not isinstance(name, str):
            raise invalid_argument("'name' must be text")
        limits = limits_from_json({limit: body.get(limit) for limit in _KEY_LIMITS})
        text, key = new_key(models, name, now, _expires_s(body.get("expires_s")), limits)

        def edit(state: DesiredState) -> DesiredState:
            for model in models:
                if model != ALL_MODELS:
                    state.model(model)
            return state.with_key(key, now)

        await self._core.change(edit, lambda: self._record_key(f"{key.id} for {', '.join(models)}"))
        return {**key.to_json(), "key": text, "required": self._keys_required}

    async def _remove_key(self, request: ControlRequest) -> Reply:
        key_id = request.parts["key"]

        def edit(state: DesiredState) -> DesiredState:
            # Gone already, but not from the disk: asked again, it is saved again.
            return state if key_id in self._revoked_unsaved else state.without_key(key_id)

        try:
            await self._core.revoke(edit, lambda: self._record_key(f"{key_id} revoked"))
        except HoldsUnsaved as error:
            self._revoked_unsaved.add(key_id)
            raise unsaved(error, "The key is revoked") from None
        self._revoked_unsaved.clear()
        return {}

    async def _set_limits(self, request: ControlRequest) -> Reply:
        model, limits = request.parts["model"], limits_from_json(request.body)
        detail = ", ".join(
            f"{name}={value:g}" for name, value in limits.to_json().items() if value is not None
        )
        await self._core.change(
            lambda state: state.with_limits(model, limits),
            lambda: self._history.record(EventKind.LIMITS, model, None, detail or "no limits"),
        )
        return {}

    def _record_key(self, detail: str) -> None:
        self._history.record(EventKind.KEY, None, None, detail)


def limits_of(state: DesiredState, model: str) -> Reply | None:
    """The model's limits as the state document shows them; None if it has none."""
    limits: FlowLimits | None = state.limits.get(model)
    return None if limits is None else limits.to_json()


def _models(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(model, str) for model in value):
        raise invalid_argument(f"The body needs 'models': a list of names, or ['{ALL_MODELS}']")
    return tuple(dict.fromkeys(value))


def _expires_s(value: object) -> float | None:
    if value is None:
        return None
    # Not isinstance: True is an int. A NaN is greater than nothing.
    if type(value) not in (int, float) or not 0 < float(value) <= MAX_EXPIRES_S:  # type: ignore[arg-type]
        raise invalid_argument("'expires_s' must be a positive number of seconds, at most ten years, or null")
    return float(value)  # type: ignore[arg-type]
