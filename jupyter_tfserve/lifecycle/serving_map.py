"""The routing table: which versions can be asked now, and under which labels.

Immutable and swapped whole, so a request sees all of a change or none of it. A lookup is one dictionary walk
that ends in a handle; while a handle is held its version is not unloaded. Event-loop thread only, no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType, TracebackType
from typing import Final, Generic, NoReturn, TypeVar

from jupyter_tfserve.errors import Code, ServingError, invalid_argument, not_found
from jupyter_tfserve.types import ModelSpec, ServableId

T = TypeVar("T")
EMPTY: Final[Mapping[str, int]] = MappingProxyType({})


class ServedVersion(Generic[T]):
    """A version in the table, with the count of the requests that hold it."""

    __slots__ = ("_drained", "id", "in_flight", "loader")

    def __init__(self, servable: ServableId, loader: T) -> None:
        self.id = servable
        self.loader = loader
        self.in_flight = 0
        self._drained: asyncio.Future[None] | None = None

    def release(self) -> None:
        """One request fewer; the last one wakes `drain`."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self.abandon()

    def abandon(self) -> None:
        """Ends a `drain` under way although requests still hold the version."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def drain(self) -> None:
        """Returns when no request holds the version. REQUIRES: it is out of the table; one caller only."""
        if self.in_flight:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained


class ServableHandle(Generic[T]):
    """The hold of one request on one version. A context manager; released once, at the exit."""

    __slots__ = ("_served", "id", "loader")

    def __init__(self, served: ServedVersion[T]) -> None:
        self.id = served.id
        self.loader = served.loader
        self._served: ServedVersion[T] | None = served
        served.in_flight += 1

    def release(self) -> None:
        """Lets the version go; a second call does nothing."""
        served, self._served = self._served, None
        if served is not None:
            served.release()

    def __enter__(self) -> ServableHandle[T]:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Lets the version go."""
        self.release()


@dataclass(frozen=True, slots=True)
class ModelRoutes(Generic[T]):
    """One model's part of the table. `latest` is the largest version number in `versions`."""

    versions: Mapping[int, ServedVersion[T]] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=lambda: EMPTY)
    latest: ServedVersion[T] | None = None


@dataclass(frozen=True, slots=True)
class ServingMap(Generic[T]):
    """Every version that can be asked, by model. `labels_known` is false until the first label map is set."""

    models: Mapping[str, ModelRoutes[T]] = field(default_factory=dict)
    labels_known: bool = False

    def lookup(self, spec: ModelSpec) -> ServableHandle[T]:
        """A handle on the version that `spec` means: O(1), nothing allocated but the handle.

        INVALID_ARGUMENT for an empty name or an unknown label, NOT_FOUND for a version that does not serve.
        """
        routes = self.models.get(spec.name)
        if spec.label is not None:
            version: int | None = self._labelled(spec, routes)
        else:
            version = spec.version
        if routes is not None:
            served = routes.latest if version is None else routes.versions.get(version)
            if served is not None:
                return ServableHandle(served)
        return _raise_not_served(spec.name, version)

    def _labelled(self, spec: ModelSpec, routes: ModelRoutes[T] | None) -> int:
        """The version behind a label, as server_core.cc reports the misses."""
        if not spec.name:
            _raise_not_served("", None)
        if not self.labels_known:
            raise ServingError(Code.UNAVAILABLE, f"Model labels does not init yet.{spec.label}")
        version = None if routes is None else routes.labels.get(spec.label or "")
        if version is None:
            raise invalid_argument(f"Unrecognized servable version label: {spec.label}")
        return version

    def available(self, model: str) -> frozenset[int]:
        """The versions of `model` that can be asked now."""
        routes = self.models.get(model)
        return frozenset() if routes is None else frozenset(routes.versions)

    def labels(self, model: str) -> Mapping[str, int]:
        """The labels of `model`; their targets need not be loaded."""
        routes = self.models.get(model)
        return EMPTY if routes is None else routes.labels

    def with_version(self, served: ServedVersion[T]) -> ServingMap[T]:
        """The table with one more version."""
        routes = self.models.get(served.id.name, ModelRoutes())
        return self._with_versions(served.id.name, {**routes.versions, served.id.version: served})

    def without_version(self, servable: ServableId) -> ServingMap[T]:
        """The table without that version; its labels stay."""
        routes = self.models.get(servable.name, ModelRoutes())
        rest = {number: served for number, served in routes.versions.items() if number != servable.version}
        return self._with_versions(servable.name, rest)

    def with_labels(self, labels: Mapping[str, Mapping[str, int]]) -> ServingMap[T]:
        """The table with the labels of every model replaced by `labels` (model name -> label -> version)."""
        names = self.models.keys() | labels.keys()
        models = {
            name: replace(
                self.models.get(name, ModelRoutes()), labels=MappingProxyType(dict(labels.get(name, EMPTY)))
            )
            for name in names
        }
        return ServingMap(_without_empty(models), labels_known=True)

    def _with_versions(self, name: str, versions: Mapping[int, ServedVersion[T]]) -> ServingMap[T]:
        latest = versions[max(versions)] if versions else None
        routes = ModelRoutes(MappingProxyType(dict(versions)), self.labels(name), latest)
        return replace(self, models=_without_empty({**self.models, name: routes}))


def _without_empty(models: Mapping[str, ModelRoutes[T]]) -> Mapping[str, ModelRoutes[T]]:
    kept = {name: routes for name, routes in models.items() if routes.versions or routes.labels}
    return MappingProxyType(kept)


def _raise_not_served(name: str, version: int | None) -> NoReturn:
    """The refusal of a lookup, in the words of server_core.cc and basic_manager.cc."""
    if not name:
        raise invalid_argument("ModelSpec has no name specified.")
    wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    raise not_found(f"Servable not found for request: {wanted}")
