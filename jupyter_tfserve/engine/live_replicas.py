"""How many processes serve each version, and the loaded versions that follow when somebody changes it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Protocol

from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.types import ServableId


class Follower(Protocol):
    """A loaded version."""

    @property
    def id(self) -> ServableId:
        """Which one."""

    def set_replicas(self, wanted: int) -> None:
        """So many as soon as that can be; 0: one for each GPU."""


class LiveReplicas:
    """What holds for each model now; `default` where nobody said something. Belongs to the event loop."""

    def __init__(self, default: int) -> None:
        self._default = default
        self._by_model: Mapping[str, int] = {}
        self._followers: weakref.WeakSet[Follower] = weakref.WeakSet()

    def of(self, model: str) -> int:
        """What is wanted for the model's versions."""
        return self._by_model.get(model, self._default)

    def follow(self, version: Follower) -> None:
        """The version is told from now on, as long as it lives, and now what holds already."""
        self._followers.add(version)
        version.set_replicas(self.of(version.id.name))

    def configure(self, state: DesiredState) -> None:
        """Takes up what the desired state says; versions whose model's number changed follow at once."""
        before, self._by_model = self._by_model, state.replicas
        for version in list(self._followers):
            name = version.id.name
            if before.get(name) != self._by_model.get(name):
                version.set_replicas(self.of(name))
