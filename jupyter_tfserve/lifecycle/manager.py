"""Turns sets of aspired versions into loaded ones: upstream's aspired-versions manager, driven by events.

Callers say what should be, never what to do, so every call may be repeated. Each change asks the policy for
one action after another until it has none; loads and unloads run as tasks. One event loop owns all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Generic, TypeAlias

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.changes import Changes
from jupyter_tfserve.lifecycle.clock import Clock, SystemClock
from jupyter_tfserve.lifecycle.load_attempts import LoadAttempts, attempt_step
from jupyter_tfserve.lifecycle.policy import Action, ActionKind, VersionSnapshot, next_action
from jupyter_tfserve.lifecycle.quarantine import Quarantine
from jupyter_tfserve.lifecycle.serving_map import ServedVersion, ServingMap
from jupyter_tfserve.lifecycle.states import (
    AspiredVersion,
    Event,
    Harness,
    LifecycleState,
    LoaderT,
    VersionStatus,
)
from jupyter_tfserve.options import LifecycleOptions
from jupyter_tfserve.types import ServableId

LOAD_CANCELLED: Final = "Loading of servable cancelled"

StateListener: TypeAlias = Callable[[ServableId, "LifecycleState | None", LifecycleState, str], None]
"""Called on the loop after each change with the old state (None: new) and the new one, and a text if there is
an error. A failed attempt that will be repeated is LOADING to LOADING. Must not raise."""


class Manager(Generic[LoaderT]):
    """Loads what is aspired, unloads what is not, and keeps the serving map true meanwhile.

    AVAILABLE is announced after the version can be asked, UNLOADING before it cannot: an observer is never
    told a lie. Ended versions are remembered until the same number loads again.
    """

    def __init__(
        self,
        loader_factory: Callable[[ServableId, Path], LoaderT],
        options: LifecycleOptions,
        clock: Clock | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.serving_map: ServingMap[LoaderT] = ServingMap()
        self.changes = Changes()
        self._loader_factory = loader_factory
        self._options = options
        self.quarantine = quarantine or Quarantine()
        self._attempts: LoadAttempts[LoaderT] = LoadAttempts(
            options,
            clock or SystemClock(),
            self.quarantine,
            self._has_slot,
            self._act,
            lambda harness, text: self._announce_state(harness, harness.state, text),
        )
        self._aspired: dict[str, Mapping[int, AspiredVersion]] = {}
        self._harnesses: dict[str, dict[int, Harness[LoaderT]]] = {}
        self._loads: dict[asyncio.Task[None], Harness[LoaderT]] = {}
        self._unloads: set[asyncio.Task[None]] = set()
        self._draining: set[ServedVersion[LoaderT]] = set()
        self._listeners: list[StateListener] = []
        self._is_closed = False

    # What should be.

    def set_aspired_versions(self, model: str, versions: Mapping[int, AspiredVersion]) -> None:
        """Makes `versions` the ones that should be served for `model`; an empty mapping unloads it.

        Returns at once. A version that is on its way out loads afresh when its teardown is over; an unchanged
        failed version is not tried again. FAILED_PRECONDITION after `close`.
        """
        if self._is_closed:
            raise ServingError(Code.FAILED_PRECONDITION, "The server is shutting down")
        if self._serves_just(model, versions):
            return
        self._aspired[model] = dict(versions)
        for version, harness in self._harnesses.get(model, {}).items():
            harness.aspire(versions.get(version))
        self._attempts.wake()
        self._reconcile(model)

    def set_labels(self, labels: Mapping[str, Mapping[str, int]]) -> None:
        """Replaces the labels of every model in the serving map at once; targets are not checked here."""
        self.serving_map = self.serving_map.with_labels(labels)

    def fail(self, servable: ServableId, error: ServingError) -> None:
        """Ends a version whose loader died for good, with `error`; it is not tried again by itself.

        For the loader's own use, between its `load` and its `unload`; otherwise nothing happens.
        """
        harness = self._harnesses.get(servable.name, {}).get(servable.version)
        if harness is None or harness.state not in (LifecycleState.LOADING, LifecycleState.AVAILABLE):
            return
        harness.error = error
        if harness.state is LifecycleState.AVAILABLE:
            self._start_unload(harness, Event.CRASH)

    def give_up(self, servable: ServableId, error: ServingError) -> None:
        """As `fail`, and the version stays so until its files change or a person asks: see `quarantine`."""
        harness = self._harnesses.get(servable.name, {}).get(servable.version)
        if harness is not None:
            self.quarantine.give_up(servable, harness.aspired.fingerprint, error.message)
            self.fail(servable, error)

    def try_again(self, servable: ServableId) -> None:
        """Loads an ended version afresh if it is still wanted, whatever was held against it."""
        self.quarantine.lift(servable)
        harness = self._harnesses.get(servable.name, {}).get(servable.version)
        if harness is not None and harness.state is LifecycleState.END:
            harness.is_aspired = False
            self._reconcile(servable.name)

    # What is.

    def statuses(self, model: str) -> tuple[VersionStatus, ...]:
        """Every version of `model` that was ever aspired, highest first."""
        harnesses = self._harnesses.get(model, {})
        return tuple(harnesses[version].status for version in sorted(harnesses, reverse=True))

    def aspired_statuses(self, model: str) -> tuple[VersionStatus, ...]:
        """As `statuses`, without the versions that are no longer wanted."""
        harnesses = self._harnesses.get(model, {})
        return tuple(harnesses[v].status for v in sorted(harnesses, reverse=True) if harnesses[v].is_aspired)

    def aspired_versions(self, model: str) -> Mapping[int, AspiredVersion]:
        """What should be served for `model`."""
        return self._aspired.get(model, {})

    def live_versions(self, model: str) -> dict[int, AspiredVersion]:
        """The versions of `model` that are up or on their way, as they were aspired."""
        settled = (LifecycleState.UNLOADING, LifecycleState.END)
        return {
            version: harness.aspired
            for version, harness in self._harnesses.get(model, {}).items()
            if harness.state not in settled
        }

    def add_listener(self, listener: StateListener) -> None:
        """Calls `listener` after every change from now on."""
        self._listeners.append(listener)

    async def close(self, drain_timeout_s: float | None = None) -> None:
        """Unloads everything and returns when it is gone; loads under way are cancelled.

        Requests in flight have `drain_timeout_s` to finish (None: no limit); then their version goes anyway.
        """
        if not self._is_closed:
            for model in list(self._harnesses):
                self.set_aspired_versions(model, {})
            self._is_closed = True
        for load in self._loads:
            load.cancel()
        await asyncio.gather(*self._loads, return_exceptions=True)
        if self._unloads:
            await asyncio.wait(self._unloads, timeout=drain_timeout_s)
        for served in self._draining:
            served.abandon()
        await asyncio.gather(*self._unloads)

    # How it gets there.

    def _serves_just(self, model: str, versions: Mapping[int, AspiredVersion]) -> bool:
        """Whether these were aspired last, are all up, and no other is on its way: every look at a folder says so, and
        the policy, which goes over all models, would have a hundred models cost ten thousand looks a second.
        """
        if self._aspired.get(model) != versions:
            return False
        harnesses = self._harnesses.get(model, {})
        live = {v: one for v, one in harnesses.items() if one.state is not LifecycleState.END}
        return live.keys() == versions.keys() and all(
            one.is_aspired and one.state is LifecycleState.AVAILABLE for one in live.values()
        )

    def _reconcile(self, model: str) -> None:
        """Gives every aspired version a harness and every unaspired unstarted one its end, then acts."""
        harnesses = self._harnesses.setdefault(model, {})
        for version, aspired in self._aspired.get(model, {}).items():
            known = harnesses.get(version)
            if known is None or (known.state is LifecycleState.END and not known.is_aspired):
                self._add(ServableId(model, version), aspired)
        for harness in list(harnesses.values()):
            if harness.state is LifecycleState.START and not harness.is_aspired:
                harness.error = _cancelled()
                self._advance(harness, Event.CANCEL)
        self._act()

    def _add(self, servable: ServableId, aspired: AspiredVersion) -> None:
        harness = Harness(servable, aspired, self._loader_factory(servable, aspired.path))
        self._harnesses[servable.name][servable.version] = harness
        self._announce_state(harness, None)

    def _act(self) -> None:
        """Does what the policy says until it says nothing: unloads before loads, over all models."""
        while (step := self._next_step()) is not None:
            harness, action = step
            if action.kind is ActionKind.UNLOAD:
                self._start_unload(harness, Event.UNLOAD)
            else:
                self._start_load(harness)

    def _next_step(self) -> tuple[Harness[LoaderT], Action] | None:
        steps = list(self._policy_steps())
        for step in steps:
            if step[1].kind is ActionKind.UNLOAD:
                return step
        return steps[0] if steps and self._has_slot() and not self._is_closed else None

    def _has_slot(self) -> bool:
        return len(self._loads) - self._attempts.paused < max(1, self._options.num_load_threads)

    def _policy_steps(self) -> Iterator[tuple[Harness[LoaderT], Action]]:
        for model, harnesses in self._harnesses.items():
            wanted = self._aspired.get(model, {})
            # A version that is wanted again while it goes comes back: what serves meanwhile must not leave.
            returning = {
                v for v, h in harnesses.items() if h.state is LifecycleState.UNLOADING and v in wanted
            }
            snapshot = (
                VersionSnapshot(v, h.state, h.is_aspired or v in returning) for v, h in harnesses.items()
            )
            action = next_action(snapshot)
            if action is not None:
                yield harnesses[action.version], action

    def _start_load(self, harness: Harness[LoaderT]) -> None:
        self._advance(harness, Event.LOAD)
        task = asyncio.get_running_loop().create_task(self._load(harness), name=f"load {harness.id}")
        self._loads[task] = harness
        task.add_done_callback(self._on_load_done)

    def _on_load_done(self, task: asyncio.Task[None]) -> None:
        """Frees the load's slot and fills it with the next load that waits."""
        harness = self._loads.pop(task)
        if task.cancelled():
            harness.error = harness.error or _cancelled()
            self._advance(harness, Event.LOAD_FAILED)
        self._reconcile(harness.id.name)
        self._attempts.wake()

    async def _load(self, harness: Harness[LoaderT]) -> None:
        """From LOADING to AVAILABLE, or to the end."""
        error = await self._attempts.load(harness)
        if error is not None:
            harness.error = error
            self._advance(harness, Event.LOAD_FAILED)
        elif harness.error is not None:
            # `fail` came before this task saw that the load had succeeded.
            self._start_unload(harness, Event.CRASH)
        elif not harness.is_aspired:
            harness.error = _cancelled()
            self._start_unload(harness, Event.LOAD_CANCELLED)
        else:
            self.serving_map = self.serving_map.with_version(ServedVersion(harness.id, harness.loader))
            self._advance(harness, Event.LOADED)

    def _start_unload(self, harness: Harness[LoaderT], event: Event) -> None:
        """Announces the end, takes the version out of the serving map, and clears it when it is drained."""
        text = harness.error.message if event is Event.CRASH and harness.error else None
        self._announce_state(harness, harness.advance(event), text)
        routes = self.serving_map.models.get(harness.id.name)
        served = routes.versions.get(harness.id.version) if routes else None
        if served is not None:
            self.serving_map = self.serving_map.without_version(harness.id)
        task = asyncio.get_running_loop().create_task(
            self._unload(harness, served), name=f"unload {harness.id}"
        )
        self._unloads.add(task)
        task.add_done_callback(self._unloads.discard)

    async def _unload(self, harness: Harness[LoaderT], served: ServedVersion[LoaderT] | None) -> None:
        if served is not None:
            self._draining.add(served)
            await served.drain()
            self._draining.discard(served)
        error = await attempt_step(harness.id, harness.loader.unload())
        harness.error = harness.error or error
        self._advance(harness, Event.UNLOADED)
        self._reconcile(harness.id.name)

    def _advance(self, harness: Harness[LoaderT], event: Event) -> None:
        self._announce_state(harness, harness.advance(event))

    def _announce_state(
        self, harness: Harness[LoaderT], before: LifecycleState | None, text: str | None = None
    ) -> None:
        message = harness.status.message if text is None else text
        for listener in self._listeners:
            listener(harness.id, before, harness.state, message)
        self.changes.announce()


def _cancelled() -> ServingError:
    return ServingError(Code.CANCELLED, LOAD_CANCELLED)
