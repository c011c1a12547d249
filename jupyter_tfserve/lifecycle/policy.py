"""Which versions are aspired, and what to do next about them: pure functions of a snapshot.

`aspired_versions` is the version policy of file_system_storage_path_source; `next_action` is upstream's
availability-preserving policy, stateless, at most one action a call. No clock, no asyncio, no files.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from jupyter_tfserve.lifecycle.states import LifecycleState


@dataclass(frozen=True, slots=True)
class Latest:
    """The `num_versions` numerically largest versions; 0 counts as 1."""

    num_versions: int = 1


@dataclass(frozen=True, slots=True)
class All:
    """Every version."""


@dataclass(frozen=True, slots=True)
class Specific:
    """The versions of this list that exist; an empty list serves nothing."""

    versions: tuple[int, ...]


VersionPolicy: TypeAlias = Latest | All | Specific


def always(_version: int, _path: Path) -> bool:
    """True: every version that was found may be served."""
    return True


def aspired_versions(
    policy: VersionPolicy,
    found: Mapping[int, Path],
    is_servable: Callable[[int, Path], bool] = always,
) -> dict[int, Path]:
    """The versions that `policy` wants of those found, highest first.

    A version that is not servable counts as absent, so a half-written newest version does not displace the
    one below it. `is_servable` is asked only while the policy still wants versions: it may be expensive.
    """
    descending = ((version, found[version]) for version in sorted(found, reverse=True))
    match policy:
        case Specific(versions):
            wanted = frozenset(versions)
            return {v: path for v, path in descending if v in wanted and is_servable(v, path)}
        case All():
            return {v: path for v, path in descending if is_servable(v, path)}
        case Latest(num_versions):
            servable = ((v, path) for v, path in descending if is_servable(v, path))
            return dict(islice(servable, num_versions or 1))


@dataclass(frozen=True, slots=True)
class VersionSnapshot:
    """What the policy may know of one version."""

    version: int
    state: LifecycleState
    is_aspired: bool


class ActionKind(enum.Enum):
    """What may be done to a version."""

    LOAD = "load"
    UNLOAD = "unload"


@dataclass(frozen=True, slots=True)
class Action:
    """One step for one version."""

    kind: ActionKind
    version: int


def next_action(versions: Iterable[VersionSnapshot]) -> Action | None:
    """The next step among the versions of one model, or None: availability before economy.

    The lowest unaspired serving version goes when nothing is aspired, when an aspired version serves, or when
    another unaspired one serves too; otherwise the highest aspired version that has not started loads. So a
    new version is up before the old one goes, and a new version that fails never takes the old one with it.
    """
    snapshot = tuple(versions)
    aspired = [v for v in snapshot if v.is_aspired]
    surplus = [v.version for v in snapshot if v.state is LifecycleState.AVAILABLE and not v.is_aspired]
    is_aspired_serving = any(v.state is LifecycleState.AVAILABLE for v in aspired)
    if surplus and (not aspired or is_aspired_serving or len(surplus) > 1):
        return Action(ActionKind.UNLOAD, min(surplus))
    waiting = [v.version for v in aspired if v.state is LifecycleState.START]
    return Action(ActionKind.LOAD, max(waiting)) if waiting else None
