"""The one desired state, and every edit of it as a pure function: what is served, what is remembered.

Nothing else decides what the server should do. The core saves an edited state first, then applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from jupyter_tfserve.errors import Code, ServingError, invalid_argument, not_found
from jupyter_tfserve.lifecycle.batching_settings import ModelBatching
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.keys import MAX_KEYS, PredictKey
from jupyter_tfserve.lifecycle.limits import FlowLimits
from jupyter_tfserve.lifecycle.policy import Latest, VersionPolicy
from jupyter_tfserve.options import MAX_REPLICAS

MAX_REMEMBERED: Final = 256
MAX_LIMITED: Final = 1024


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The models to serve, and the labels and policies of models that were closed, newest last.

    Keys, limits, batching and replicas go by the models' names, whether these are served now or not.
    """

    models: tuple[ModelConfig, ...] = ()
    remembered: tuple[ModelConfig, ...] = ()
    keys: tuple[PredictKey, ...] = ()
    limits: Mapping[str, FlowLimits] = field(default_factory=dict)
    batching: Mapping[str, ModelBatching] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)

    @property
    def by_name(self) -> Mapping[str, ModelConfig]:
        """The models to serve by their names."""
        return {model.name: model for model in self.models}

    def model(self, name: str) -> ModelConfig:
        """The model of that name; NOT_FOUND if it is not served."""
        model = self.by_name.get(name)
        if model is None:
            raise not_found(f"Could not find model {name}", hint="Open its folder first.")
        return model

    def with_config(self, models: Iterable[ModelConfig]) -> DesiredState:
        """The state after a reload: `models` and nothing else."""
        return replace(self, models=tuple(self._with_single_version(model) for model in models))

    def with_opened(self, models: Iterable[ModelConfig]) -> DesiredState:
        """The state with `models` served too; those that are served already stay as they are.

        A model that was closed at the same path gets its labels back, and its policy unless another one than
        the default is asked for. ALREADY_EXISTS if the name is taken by another path.
        """
        state = self
        for model in models:
            present = state.by_name.get(model.name)
            if present is None:
                state = state._with_reopened(model)
            elif (present.base_path, present.single_version) != (model.base_path, model.single_version):
                raise ServingError(
                    Code.ALREADY_EXISTS,
                    f"Model {model.name} is already served from {present.base_path}",
                    hint="Give this model another name, or close the other one first.",
                )
        return state

    def without_model(self, name: str) -> DesiredState:
        """The state with that model closed and its labels and policy remembered."""
        closed = self.model(name)
        return replace(self._remembering(closed), models=tuple(m for m in self.models if m is not closed))

    def closed(self) -> DesiredState:
        """The state with every model closed and remembered."""
        state = self
        for model in self.models:
            state = state.without_model(model.name)
        return state

    def with_labels(self, name: str, labels: Mapping[str, int]) -> DesiredState:
        """The state with the labels of one model replaced."""
        return self._edited(name, lambda model: replace(model, labels=dict(labels)))

    def with_policy(self, name: str, policy: VersionPolicy) -> DesiredState:
        """The state with the policy of one model replaced."""
        return self._edited(name, lambda model: replace(model, policy=policy))

    def with_limits(self, name: str, limits: FlowLimits) -> DesiredState:
        """The state with the limits of one model replaced. RESOURCE_EXHAUSTED over 1024 limited models."""
        self.model(name)
        others = {model: kept for model, kept in self.limits.items() if model != name}
        if len(others) >= MAX_LIMITED and not limits.is_unlimited:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{MAX_LIMITED} models have limits already",
                "Remove those of another first.",
            )
        return replace(self, limits=others if limits.is_unlimited else {**others, name: limits})

    def with_batching(self, name: str, batching: ModelBatching) -> DesiredState:
        """The state with the batching of one model replaced. RESOURCE_EXHAUSTED over 1024 models with settings."""
        self.model(name)
        others = {model: kept for model, kept in self.batching.items() if model != name}
        if len(others) >= MAX_LIMITED and not batching.is_unchanged:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{MAX_LIMITED} models have batching settings already",
                "Remove those of another first.",
            )
        return replace(self, batching=others if batching.is_unchanged else {**others, name: batching})

    def with_replicas(self, name: str, count: object) -> DesiredState:
        """The state with so many processes for each version of one model; 0: one per GPU, None: the server's default.

        INVALID_ARGUMENT for anything else, RESOURCE_EXHAUSTED over 1024 models that have such a number.
        """
        self.model(name)
        others = {model: kept for model, kept in self.replicas.items() if model != name}
        if count is None:
            return replace(self, replicas=others)
        if len(others) >= MAX_LIMITED:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{MAX_LIMITED} models have replicas set already",
                "Reset those of another first.",
            )
        return replace(self, replicas={**others, name: checked_replicas(count)})

    def with_key(self, key: PredictKey, now: float) -> DesiredState:
        """The state with one key more, without those that are expired. RESOURCE_EXHAUSTED over 1024 keys."""
        kept = tuple(known for known in self.keys if not known.is_expired(now))
        if len(kept) >= MAX_KEYS:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED, f"There are {MAX_KEYS} keys already", "Revoke some of them first."
            )
        return replace(self, keys=(*kept, key))

    def without_key(self, key_id: str) -> DesiredState:
        """The state with one key less. NOT_FOUND if there is none of that id."""
        kept = tuple(known for known in self.keys if known.id != key_id)
        if len(kept) == len(self.keys):
            raise not_found(f"There is no key '{key_id[:100]}'", "`%tfserve keys` lists them.")
        return replace(self, keys=kept)

    def _edited(self, name: str, edit: Callable[[ModelConfig], ModelConfig]) -> DesiredState:
        target = self.model(name)
        return replace(self, models=tuple(edit(m) if m is target else m for m in self.models))

    def _with_single_version(self, model: ModelConfig) -> ModelConfig:
        """ModelServerConfig cannot say that a base path is a version: what is known of it stays true."""
        present = self.by_name.get(model.name)
        if present is None or model.single_version is not None or present.base_path != model.base_path:
            return model
        return replace(model, single_version=present.single_version)

    def _with_reopened(self, model: ModelConfig) -> DesiredState:
        model = replace(model, keeps_labelled=True)
        for known in self.remembered:
            if _place(known) == _place(model):
                policy = known.policy if model.policy == Latest() else model.policy
                model = replace(model, policy=policy, labels={**known.labels, **model.labels})
        return replace(self._forgetting(model), models=(*self.models, model))

    def _remembering(self, model: ModelConfig) -> DesiredState:
        state = self._forgetting(model)
        if not model.labels and model.policy == Latest():
            return state
        return replace(state, remembered=(*state.remembered, model)[-MAX_REMEMBERED:])

    def _forgetting(self, model: ModelConfig) -> DesiredState:
        return replace(self, remembered=tuple(k for k in self.remembered if _place(k) != _place(model)))


def checked_replicas(count: object) -> int:
    """The number of replicas that somebody wrote; INVALID_ARGUMENT if it is none."""
    # Not isinstance: True is an int.
    if type(count) is not int or not 0 <= count <= MAX_REPLICAS:
        raise invalid_argument(
            f"'replicas' must be a whole number from 0 (one for each GPU) to {MAX_REPLICAS}, or null"
        )
    return count


def _place(model: ModelConfig) -> tuple[str, str, int | None]:
    return (model.name, model.base_path, model.single_version)
