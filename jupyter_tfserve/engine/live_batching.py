"""Batching that changes while models serve: the settings of each model, and the loaded versions that follow them."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping
from typing import Protocol

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.lifecycle.batching_settings import ModelBatching
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.types import ServableId

logger = logging.getLogger(__name__)

_UNCHANGED = ModelBatching()


class Follower(Protocol):
    """A loaded version."""

    @property
    def id(self) -> ServableId:
        """Which one."""

    def set_batching(self, batching: ModelBatching) -> None:
        """Batches by these settings from now on. INVALID_ARGUMENT if its own options do not allow them."""


class LiveBatching:
    """What holds for each model now. Belongs to the event loop."""

    def __init__(self) -> None:
        self._by_model: Mapping[str, ModelBatching] = {}
        self._followers: weakref.WeakSet[Follower] = weakref.WeakSet()

    def of(self, model: str) -> ModelBatching:
        """The model's settings."""
        return self._by_model.get(model, _UNCHANGED)

    def follow(self, version: Follower) -> None:
        """The version has its model's settings from now on, as long as it lives."""
        self._followers.add(version)
        self._apply(version)

    def configure(self, state: DesiredState) -> None:
        """Takes up what the desired state says; versions whose model's settings changed follow at once."""
        before, self._by_model = self._by_model, state.batching
        for version in list(self._followers):
            name = version.id.name
            if before.get(name) != self._by_model.get(name):
                self._apply(version)

    def _apply(self, version: Follower) -> None:
        try:
            version.set_batching(self.of(version.id.name))
        except ServingError as error:
            # A version's own file may allow other sizes than those that were asked for.
            logger.warning("The batching settings of %s do not fit it: %s", version.id, error.message)
