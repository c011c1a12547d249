"""The served models at work: a watch for each, and how the first load of each ended.

Stands between the desired state and the manager: looks become aspired versions here. Event loop only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Generic

from jupyter_tfserve.errors import Code, ServingError, not_found
from jupyter_tfserve.lifecycle.clock import Clock
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.manager import Manager
from jupyter_tfserve.lifecycle.source import Look
from jupyter_tfserve.lifecycle.states import CONCLUDED_STATES, LifecycleState, LoaderT, VersionStatus
from jupyter_tfserve.lifecycle.watch import ModelWatch, WatchContext
from jupyter_tfserve.types import ModelSpec, ServableId


class ModelFleet(Generic[LoaderT]):
    """Watches and loads the models that it is given; remembers how the first load of each ended."""

    def __init__(self, manager: Manager[LoaderT], clock: Clock, period_s: float, settle_s: float) -> None:
        self._manager = manager
        given_up = manager.quarantine.given_up
        self._context = WatchContext(
            self._on_look, manager.live_versions, clock, period_s, settle_s, given_up
        )
        self._watches: dict[str, ModelWatch] = {}
        self._has_started = False
        manager.add_listener(self._on_state)

    def serve(self, models: Iterable[ModelConfig]) -> None:
        """Watches `models` and nothing else; versions of models that are left out begin to unload."""
        wanted = {model.name: model for model in models}
        for name in [name for name in self._watches if name not in wanted]:
            self._watches.pop(name).stop()
            self._manager.set_aspired_versions(name, {})
        for name, config in wanted.items():
            if name in self._watches:
                self._watches[name].reconfigure(config)
            else:
                self._watches[name] = ModelWatch(config, self._context)
                self._watches[name].start()
        self._manager.changes.announce()

    def stop(self) -> None:
        """Looks no more and lets go whoever waits for a look or a first load; what is loaded stays."""
        for watch in self._watches.values():
            watch.stop()
        self._watches.clear()
        self._manager.changes.announce()

    def problem(self, model: str) -> str | None:
        """Why the folder of a served model is unusable, if it is."""
        watch = self._watches.get(model)
        return watch.problem.message if watch is not None and watch.problem is not None else None

    def status(self, spec: ModelSpec) -> tuple[VersionStatus, ...]:
        """As `ServerCore.model_status`."""
        statuses = self._manager.statuses(spec.name)
        if spec.version is not None:
            statuses = tuple(status for status in statuses if status.version == spec.version)
            if not statuses:
                raise not_found(f"Could not find version {spec.version} of model {spec.name}")
        if not statuses:
            raise not_found(f"Could not find any versions of model {spec.name}")
        return statuses

    async def look(self, model: str) -> None:
        """Looks at the folder of a served model now; nothing if it is not served."""
        watch = self._watches.get(model)
        if watch is not None:
            await watch.look()

    def hold(self, model: str, version: int) -> None:
        """Wants a version of a served model beside those of the policy until a label names it, or for a while."""
        if model in self._watches:
            self._watches[model].hold(version)

    def look_soon(self, model: str) -> None:
        """Looks at the folder of a served model by and by."""
        if model in self._watches:
            self._watches[model].look_soon()

    async def wait_looked(self, models: Collection[str]) -> None:
        """Returns when each of `models` was looked at; at once for those that never will be by themselves."""
        await self._manager.changes.wait_until(lambda: True if self.have_looked(models) else None)

    def have_looked(self, models: Collection[str]) -> bool:
        """Whether each of `models` was looked at, or never will be by itself."""
        return self._context.period_s < 0 or all(
            self._watches[name].has_looked for name in models if name in self._watches
        )

    def first_load_pending(self, spec: ModelSpec) -> bool:
        """As `ServerCore.first_load_pending`."""
        watch = self._watches.get(spec.name)
        if watch is None:
            return self._is_starting()
        if watch.is_first_load_over:
            return False
        if watch.first_outcome is None:
            will_look = self._context.period_s >= 0 and not watch.has_looked
            return will_look or bool(watch.unsettled or self._manager.aspired_statuses(spec.name))
        labels = self._manager.serving_map.labels(spec.name)
        version = spec.version if spec.label is None else labels.get(spec.label)
        statuses = self._manager.aspired_statuses(spec.name)
        return any(status.version == version and not status.is_concluded for status in statuses)

    def _is_starting(self) -> bool:
        """Whether the models that were served first are still on their way; false for good once they are not.

        Upstream's ports are closed as long, and its clients ask for a model that is not there until an answer
        tells them that the others are.
        """
        if not self._has_started and self._watches:
            self._has_started = not any(self.first_load_pending(ModelSpec(name)) for name in self._watches)
        return bool(self._watches) and not self._has_started

    async def wait_first_load(self, spec: ModelSpec, timeout_s: float | None) -> None:
        """As `ServerCore.wait_first_load`."""
        await self._manager.changes.wait_until(
            lambda: None if self.first_load_pending(spec) else True, timeout_s
        )

    def next_load_pending(self, model: str) -> bool:
        """As `ServerCore.next_load_pending`."""
        watch = self._watches.get(model)
        if watch is None or self._manager.serving_map.available(model):
            return False
        statuses = self._manager.aspired_statuses(model)
        return watch.is_look_due or not all(status.is_concluded for status in statuses)

    async def wait_next_load(self, model: str, timeout_s: float | None) -> None:
        """As `ServerCore.wait_next_load`."""
        await self._manager.changes.wait_until(
            lambda: None if self.next_load_pending(model) else True, timeout_s
        )

    async def wait_version(self, model: str, version: int, timeout_s: float | None) -> VersionStatus:
        """As `ServerCore.wait_version`."""

        def concluded() -> VersionStatus | None:
            watch = self._watches.get(model)
            if watch is not None and version in watch.unsettled:
                return None  # the end of an older attempt says nothing about files that still change
            statuses = (s for s in self._manager.statuses(model) if s.version == version)
            return next((status for status in statuses if status.is_concluded), None)

        return await self._manager.changes.wait_until(concluded, timeout_s)

    def first_outcome(self, model: str) -> VersionStatus | None:
        """As `ServerCore.first_outcome`."""
        watch = self._watches.get(model)
        return None if watch is None else watch.first_outcome

    async def wait_added(self, models: Collection[str], noun: str) -> None:
        """Returns when each of `models` has a version that is up; UNKNOWN in upstream's words if one failed.

        No limit in time for a model without versions; one that is taken away meanwhile is not waited for.
        """

        def outcomes() -> dict[str, VersionStatus] | None:
            watches = {name: self._watches[name] for name in models if name in self._watches}
            known = {name: w.first_outcome for name, w in watches.items() if w.first_outcome is not None}
            return known if len(known) == len(watches) else None

        ended = await self._manager.changes.wait_until(outcomes)
        failed = {name: status for name, status in ended.items() if status.state is LifecycleState.END}
        if failed:
            reasons = "".join(
                f"{{{ServableId(name, status.version)} due to error: {status.code.name}: {status.message}}}, "
                for name, status in failed.items()
            )
            message = f"{len(failed)} {noun} did not become available: {{{reasons}}}"
            raise ServingError(Code.UNKNOWN, message)

    def _on_look(self, model: str, look: Look | None) -> None:
        if look is not None:
            self._manager.set_aspired_versions(model, look.aspired)
        if model in self._watches:
            self._note_first_load(self._watches[model])
        self._manager.changes.announce()

    def _on_state(
        self, servable: ServableId, before: LifecycleState | None, after: LifecycleState, message: str
    ) -> None:
        watch = self._watches.get(servable.name)
        if watch is None or after not in CONCLUDED_STATES:
            return
        given_up = self._manager.quarantine.given_up(servable.name)
        if after is LifecycleState.END and servable.version in given_up:
            watch.look_soon()  # the version below takes its place, whatever the period is
        self._note_first_load(watch)

    def _note_first_load(self, watch: ModelWatch) -> None:
        """Sets what became of the first load; not while a look was asked for, which may find another version."""
        if watch.is_first_load_over or watch.is_look_asked:
            return
        model = watch.config.name
        statuses = self._manager.aspired_statuses(model)
        if watch.first_outcome is None:
            watch.first_outcome = self._first_outcome(model, statuses)
        watch.is_first_load_over = watch.first_outcome is not None and all(
            status.is_concluded for status in statuses
        )

    def _first_outcome(self, model: str, statuses: Collection[VersionStatus]) -> VersionStatus | None:
        """The first version that is up or failed; one in quarantine counts when there is no other."""
        concluded = [status for status in statuses if status.is_concluded]
        given_up = self._manager.quarantine.given_up(model)
        tried = [status for status in concluded if status.version not in given_up]
        is_all = len(concluded) == len(statuses)
        return next(iter(tried or (concluded if is_all else ())), None)
