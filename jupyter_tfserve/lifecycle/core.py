"""The server without its ports: what should be served, kept on disk, watched, loaded and labelled.

The way of a change: a pure edit of the desired state, saved, then applied whole; so what was acknowledged
survives a kill, and a refused change leaves no trace. One event loop owns it all; files are read in threads.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeAlias

from jupyter_tfserve.errors import ServingError, not_found
from jupyter_tfserve.lifecycle.clock import SystemClock
from jupyter_tfserve.lifecycle.config import ModelConfig, policy_to_json, validate_models
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.durable import DurableState, Edit
from jupyter_tfserve.lifecycle.fleet import ModelFleet
from jupyter_tfserve.lifecycle.history import EventKind, History, event_kind
from jupyter_tfserve.lifecycle.labels import validate_labels
from jupyter_tfserve.lifecycle.manager import Manager
from jupyter_tfserve.lifecycle.policy import VersionPolicy
from jupyter_tfserve.lifecycle.quarantine import Quarantine
from jupyter_tfserve.lifecycle.reopened_labels import ReopenedLabels
from jupyter_tfserve.lifecycle.resolve import ResolvedModels
from jupyter_tfserve.lifecycle.roots import check_models
from jupyter_tfserve.lifecycle.serving_map import ServingMap
from jupyter_tfserve.lifecycle.source import SETTLE_S
from jupyter_tfserve.lifecycle.states import LifecycleState, LoaderT, VersionStatus
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.options import LifecycleOptions
from jupyter_tfserve.types import ModelSpec, ServableId

log = logging.getLogger(__name__)

StateListener: TypeAlias = Callable[[DesiredState], None]


@dataclass(frozen=True, slots=True)
class ModelState:
    """One served model as a person sees it: `versions` highest first, `problem` if its folder is unusable."""

    config: ModelConfig
    labels: Mapping[str, int]
    versions: tuple[VersionStatus, ...]
    problem: str | None


class ServerCore(Generic[LoaderT]):
    """Serves what the desired state says. Its methods run on the loop that `start` ran on."""

    def __init__(
        self,
        loader_factory: Callable[[ServableId, Path], LoaderT],
        options: LifecycleOptions,
        store: StateStore,
        history: History,
        settle_s: float = SETTLE_S,
    ) -> None:
        clock = SystemClock()
        self._quarantine = Quarantine(store.state_dir)
        self.manager: Manager[LoaderT] = Manager(loader_factory, options, clock, self._quarantine)
        self._fleet = ModelFleet(self.manager, clock, options.file_system_poll_wait_seconds, settle_s)
        self.manager.add_listener(self._on_state)
        self._options = options
        self._durable = DurableState(store, self._apply)
        self._history = history
        self._listeners: list[StateListener] = []
        self._reopened = ReopenedLabels()

    async def start(self) -> tuple[str, ...]:
        """Takes up the saved state, labels at once, and begins to load. Notes for the person, if any.

        FAILED_PRECONDITION if the saved state cannot be read.
        """
        loaded = await self._durable.load()
        await self._quarantine.open()
        self._durable.take_up(loaded.state)
        for note in loaded.notes:
            self._history.record(EventKind.ERROR, None, None, note)
        return loaded.notes

    def add_state_listener(self, listener: StateListener) -> None:
        """`listener` is told what should be, now and after each change of it, before that is acknowledged."""
        self._listeners.append(listener)
        listener(self.desired)

    # What is.

    @property
    def allowed_roots(self) -> tuple[str, ...]:
        """Where models may lie; empty: anywhere."""
        return self._options.allowed_roots

    @property
    def desired(self) -> DesiredState:
        """What should be, as it was acknowledged last."""
        return self._durable.state

    @property
    def serving_map(self) -> ServingMap[LoaderT]:
        """The routing table of this moment."""
        return self.manager.serving_map

    def states(self) -> tuple[ModelState, ...]:
        """Every served model, in the order in which it was added."""
        return tuple(
            ModelState(
                model,
                self._reopened.shown(model),
                self.manager.statuses(model.name),
                self._fleet.problem(model.name),
            )
            for model in self.desired.models
        )

    def model_status(self, spec: ModelSpec) -> tuple[VersionStatus, ...]:
        """What GetModelStatus tells: one version or all, highest first, with ended ones; a label is ignored.

        NOT_FOUND with upstream's texts.
        """
        return self._fleet.status(spec)

    def have_looked(self) -> bool:
        """Whether the folder of every served model was looked at, or never will be by itself."""
        return self._fleet.have_looked(self.desired.by_name)

    def first_load_pending(self, spec: ModelSpec) -> bool:
        """Whether what `spec` means is still to load for the first time: the version that it names, by number or
        by label, or, if it names none, any version at all.

        A model that is not served is pending too as long as the models that were served first are.
        """
        return self._fleet.first_load_pending(spec)

    async def wait_first_load(self, spec: ModelSpec, timeout_s: float | None = None) -> None:
        """Returns when `first_load_pending` is false; DEADLINE_EXCEEDED after `timeout_s`."""
        await self._fleet.wait_first_load(spec, timeout_s)

    def next_load_pending(self, model: str) -> bool:
        """Whether no version of a served model can be asked, but one is on its way: its last was given up, say."""
        return self._fleet.next_load_pending(model)

    async def wait_next_load(self, model: str, timeout_s: float | None = None) -> None:
        """Returns when `next_load_pending` is false; DEADLINE_EXCEEDED after `timeout_s`."""
        await self._fleet.wait_next_load(model, timeout_s)

    async def wait_version(self, model: str, version: int, timeout_s: float | None = None) -> VersionStatus:
        """The version's status once it is AVAILABLE or at its END; it need not be known yet.

        A version whose files still change is waited for. DEADLINE_EXCEEDED after `timeout_s`.
        """
        return await self._fleet.wait_version(model, version, timeout_s)

    # What should be.

    async def apply_config(self, models: Iterable[ModelConfig]) -> None:
        """`set_config`, then `wait_added`."""
        await self.wait_added(*await self.set_config(models))

    async def set_config(self, models: Iterable[ModelConfig]) -> tuple[tuple[str, ...], str]:
        """Serves `models` and nothing else; the names of the new ones, and what `wait_added` is to call them.

        INVALID_ARGUMENT, FAILED_PRECONDITION (labels), PERMISSION_DENIED (roots): nothing has changed.
        """
        listed = tuple(models)
        await self._check_roots(listed)
        before: list[DesiredState] = []

        def edit(state: DesiredState) -> DesiredState:
            before.append(state)
            validate_models(listed, state.by_name)
            for model in listed:
                self._validate_labels(model.name, model.labels)
            return state.with_config(listed)

        def on_saved() -> None:
            self._reopened.forget_all()
            names = ", ".join(model.name for model in listed) or "no models"
            self._history.record(EventKind.CONFIG, None, None, f"serve {names}")

        await self.change(edit, on_saved)
        added = tuple(model.name for model in listed if model.name not in before[0].by_name)
        # Upstream's first configuration goes another way and says another word.
        return added, "model(s)" if before[0].models else "servable(s)"

    async def wait_added(self, models: tuple[str, ...], noun: str) -> None:
        """Returns when each of `models` is up or has failed; UNKNOWN if one failed, the configuration stays.

        Waits without limit for a model that has no version; may be cancelled then.
        """
        await self._fleet.wait_added(models, noun)

    def first_outcome(self, model: str) -> VersionStatus | None:
        """The first version of a served model that was up or failed; None if there was none yet."""
        return self._fleet.first_outcome(model)

    async def open_models(self, resolved: ResolvedModels) -> tuple[str, ...]:
        """Serves these models too, and looks at their folders once; the names of those that are new.

        Labels that such a model had when it was closed come back as their versions become available.
        ALREADY_EXISTS if a name is taken by another path; PERMISSION_DENIED if one lies outside of the roots.
        """
        await self._check_roots(resolved.models)
        opened: list[ModelConfig] = []

        def edit(state: DesiredState) -> DesiredState:
            validate_models(resolved.models, state.by_name)
            after = state.with_opened(resolved.models)
            opened.extend(model for model in after.models if model.name not in state.by_name)
            return after

        def on_saved() -> None:
            self._reopened.hold_back(opened)
            for model in opened:
                self._history.record(EventKind.CONFIG, model.name, None, f"open {model.base_path}")

        await self.change(edit, on_saved)
        names = tuple(model.name for model in opened)
        await self._fleet.wait_looked(names)
        return names

    async def remove_model(self, model: str) -> None:
        """Serves `model` no longer and remembers its labels; its versions unload meanwhile. NOT_FOUND."""

        def on_saved() -> None:
            self._reopened.forget_model(model)
            self._history.record(EventKind.CONFIG, model, None, "close")

        await self.change(lambda state: state.without_model(model), on_saved)

    async def set_label(self, model: str, label: str, version: int) -> int | None:
        """Points `label` at `version` and returns where it pointed before.

        NOT_FOUND for an unknown model, FAILED_PRECONDITION if the version may not be labelled.
        """
        previous: list[int | None] = []

        def edit(state: DesiredState) -> DesiredState:
            config = state.model(model)
            self._validate_labels(model, {label: version})
            previous.append(self._reopened.shown(config).get(label))
            return state.with_labels(model, {**config.labels, label: version})

        def on_saved() -> None:
            self._reopened.forget(model, label)
            was = "" if previous[0] is None else f" (was {previous[0]})"
            self._history.record(EventKind.LABEL, model, version, f"{label} -> {version}{was}")

        await self.change(edit, on_saved)
        return previous[0]

    async def remove_label(self, model: str, label: str) -> int:
        """Takes `label` away and returns where it pointed. NOT_FOUND if there is none."""
        previous: list[int] = []

        def edit(state: DesiredState) -> DesiredState:
            labels = dict(state.model(model).labels)
            if label not in labels:
                known = ", ".join(sorted(labels)) or "none"
                raise not_found(f"Model {model} has no version label {label}", f"Its labels: {known}.")
            previous.append(labels.pop(label))
            return state.with_labels(model, labels)

        def on_saved() -> None:
            self._reopened.forget(model, label)
            detail = f"{label} removed (was {previous[0]})"
            self._history.record(EventKind.LABEL, model, previous[0], detail)

        await self.change(edit, on_saved)
        return previous[0]

    async def set_policy(self, model: str, policy: VersionPolicy) -> None:
        """Wants other versions of `model` and looks once for them.

        NOT_FOUND if the model is not served, or its folder is missing (the policy holds all the same).
        """

        def on_saved() -> None:
            self._history.record(EventKind.POLICY, model, None, json.dumps(policy_to_json(policy)))

        await self.change(lambda state: state.with_policy(model, policy), on_saved)
        await self._fleet.look(model)

    async def refresh(self, model: str) -> None:
        """Looks at the model's folder now. NOT_FOUND if it is not served or its folder is missing."""
        self.desired.model(model)
        await self._fleet.look(model)

    def hold(self, model: str, version: int) -> None:
        """Wants `version` too, until a label names it, for five minutes at most: so a label can move to it.

        Nothing for a model of a config file, whose labels keep no version. NOT_FOUND if the model is not served.
        """
        if self.desired.model(model).keeps_labelled:
            self._fleet.hold(model, version)

    async def try_again(self, model: str, version: int) -> bool:
        """Loads a version that ended once more, though its files are the same: a person wants it.

        False if the version policy does not want it; nothing is held against it then all the same. NOT_FOUND if the
        model is not served or its folder is missing.
        """
        self.desired.model(model)
        self.manager.try_again(ServableId(model, version))
        await self._fleet.look(model)
        return version in self.manager.aspired_versions(model)

    def give_up(self, servable: ServableId, error: ServingError) -> None:
        """Ends a version for good because of `error`; what the policy wants beside it is loaded instead."""
        self.manager.give_up(servable, error)
        self._fleet.look_soon(servable.name)

    async def close(self, keep_models: bool = False, drain_timeout_s: float | None = None) -> None:
        """Unloads everything and returns when it is gone; no change is taken from now on.

        Models and labels are remembered for when their folders are opened again; with `keep_models` the next
        `start` takes them up instead. Requests in flight have `drain_timeout_s` to finish (None: no limit).
        """
        await self._durable.close(keep_models)
        self._fleet.stop()
        await self.manager.close(drain_timeout_s)
        await self._quarantine.close()
        await self._history.close()

    # How a change is made.

    async def change(self, edit: Edit, on_saved: Callable[[], None]) -> None:
        """See `DurableState.change`: saved, then it holds."""
        await self._durable.change(edit, on_saved)

    async def revoke(self, edit: Edit, on_revoked: Callable[[], None]) -> None:
        """See `DurableState.revoke`: it holds, then it is saved."""
        await self._durable.revoke(edit, on_revoked)

    def _apply(self, state: DesiredState) -> None:
        """Makes the labels, the watches and the aspired versions those of `state`."""
        for listener in self._listeners:
            listener(state)
        self._show_labels()
        self._fleet.serve(state.models)

    async def _check_roots(self, models: tuple[ModelConfig, ...]) -> None:
        if self.allowed_roots:
            await asyncio.to_thread(check_models, models, self.allowed_roots)

    def _validate_labels(self, model: str, labels: Mapping[str, int]) -> None:
        validate_labels(
            model,
            self.serving_map.labels(model),
            labels,
            self.serving_map.available(model),
            self._options.allow_version_labels_for_unavailable_models,
        )

    def _show_labels(self) -> None:
        self.manager.set_labels({model.name: self._reopened.shown(model) for model in self.desired.models})

    def _on_state(
        self, servable: ServableId, before: LifecycleState | None, after: LifecycleState, message: str
    ) -> None:
        if after is LifecycleState.AVAILABLE:
            self._bring_back_labels(servable)
        kind = event_kind(before, after, message)
        if kind is not None:
            self._history.record(kind, servable.name, servable.version, message)

    def _bring_back_labels(self, servable: ServableId) -> None:
        """Shows the labels that waited for this version, before anyone is told that it is available."""
        model = self.desired.by_name.get(servable.name)
        if model is not None and self._reopened.bring_back(model, servable.version):
            self._show_labels()
