"""What changes on our engines, as Jupyter Events: the sidebar and the cards follow it without polling.

Magics speak to an engine itself, not through the Jupyter server, so carrying changes out is not enough to know
them: a watch asks each running engine for its state and announces what differs from the time before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.extension.engines import Engines

WATCH_INTERVAL_S: Final = 0.5
"""A look costs both processes about a millisecond; a person sees a change of another notebook at once."""
STATE_TIMEOUT_S: Final = 5.0
CHANGE_SCHEMA_ID: Final = "https://events.jupyter.org/jupyter_tfserve/change/v1"
CHANGE_SCHEMA: Final[dict[str, Any]] = {
    "$id": CHANGE_SCHEMA_ID,
    "version": "1",
    "title": "Model serving changed",
    "description": "An engine, a model, a version, a label or a policy is not what it was.",
    "personal-data": False,
    "type": "object",
    "required": ["engine", "kind"],
    "properties": {
        "engine": {"type": "string", "title": "Engine"},
        "kind": {"enum": ["engine", "model", "version", "label", "policy"], "title": "What changed"},
        "model": {"type": ["string", "null"], "title": "Model"},
        "version": {"type": ["integer", "null"], "title": "Version, now"},
        "previous": {"type": ["integer", "null"], "title": "Version that the label named before"},
        "label": {"type": ["string", "null"], "title": "Label"},
        "state": {"type": ["string", "null"], "title": "State of the engine or version, now"},
    },
}

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not what it was. What is gone has the state `removed`; a label that is, no version."""

    engine: str
    kind: str
    model: str | None = None
    version: int | None = None
    previous: int | None = None
    label: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """An engine at one moment: what the Jupyter server says of it, and its models by name."""

    engine: Json
    models: Mapping[str, Json]


class EngineWatch:
    """Looks at every engine now and then, and at once after `wake`. REQUIRES: the engines' event loop."""

    def __init__(self, engines: Engines, announce: Callable[[Change], None]) -> None:
        self._engines = engines
        self._announce = announce
        self._woken = asyncio.Event()
        self._seen: dict[str, Seen] = {}

    def wake(self) -> None:
        """Something was changed: look now."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled. While no engine is kept it sleeps."""
        while True:
            await self.look()
            timeout_s = WATCH_INTERVAL_S if self._seen else None
            try:
                await asyncio.wait_for(self._woken.wait(), timeout_s)
            except asyncio.TimeoutError:
                continue
            self._woken.clear()

    async def look(self) -> None:
        """Announces what differs from the last look."""
        names = [engine.name for engine in self._engines.all()]
        looks = await asyncio.gather(*(self._look_at(name) for name in names))
        seen = {name: look for name, look in zip(names, looks, strict=True) if look is not None}
        before, self._seen = self._seen, seen
        for change in find_changes(before, seen):
            self._announce(change)

    async def _look_at(self, name: str) -> Seen | None:
        models = await self._models(name)
        try:
            engine = self._engines.get(name).to_json()
        except ServingError:
            return None
        if models is None:
            # It does not run, or is too busy to answer: no news of its models.
            known = self._seen.get(name)
            models = {} if known is None else known.models
        return Seen(engine, models)

    async def _models(self, name: str) -> Mapping[str, Json] | None:
        try:
            reply = await self._engines.call(name, "GET", "/control/state", None, STATE_TIMEOUT_S)
            return {model["name"]: model for model in json.loads(reply.body)["models"]}
        except (ServingError, ValueError, KeyError):
            return None


def find_changes(before: Mapping[str, Seen], after: Mapping[str, Seen]) -> Iterator[Change]:
    """What one look has that the other has not."""
    for name in before.keys() - after.keys():
        yield Change(name, "engine", state="removed")
    for name, seen in after.items():
        known = before.get(name)
        if known is None or _differs(known.engine, seen.engine, "state", "pid", "reason"):
            yield Change(name, "engine", state=seen.engine["state"])
        yield from _model_changes(name, {} if known is None else known.models, seen.models)


def event_data(change: Change) -> Json:
    """The event's data, as `CHANGE_SCHEMA` has it."""
    return asdict(change)


def _model_changes(engine: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Change]:
    for name in before.keys() - after.keys():
        yield Change(engine, "model", name, state="removed")
    for name, model in after.items():
        known = before.get(name)
        if known is None or _differs(known, model, "base_path", "problem"):
            yield Change(engine, "model", name)
        elif _differs(known, model, "policy"):
            yield Change(engine, "policy", name)
        yield from _version_changes(engine, name, known or {}, model)
        yield from _label_changes(engine, name, known or {}, model)


def _version_changes(engine: str, name: str, before: Json, after: Json) -> Iterator[Change]:
    known = {version["version"]: version for version in before.get("versions", ())}
    now = {version["version"]: version for version in after.get("versions", ())}
    for number in known.keys() - now.keys():
        yield Change(engine, "version", name, number, state="removed")
    for number, version in now.items():
        if number not in known or _differs(known[number], version, "state", "error_message", "pid"):
            yield Change(engine, "version", name, number, state=version["state"])


def _label_changes(engine: str, name: str, before: Json, after: Json) -> Iterator[Change]:
    known, now = before.get("labels", {}), after.get("labels", {})
    for label in known.keys() | now.keys():
        if known.get(label) != now.get(label):
            yield Change(engine, "label", name, now.get(label), known.get(label), label)


def _differs(before: Json, after: Json, *names: str) -> bool:
    return any(before.get(name) != after.get(name) for name in names)
