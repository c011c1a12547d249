"""The five public states of a version, as one table, and the record of one version that moves through it.

Everything that affects a transition lives here: `Harness.advance` is the only writer of a state and
`TRANSITIONS` holds every legal move (TensorFlow Serving's core/servable_state.h and loader_harness.h).
Pure: no asyncio, no clock.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Generic, Protocol, TypeVar

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ServableId


class LifecycleState(enum.IntEnum):
    """A version's public state, by its number in get_model_status.proto."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class Event(enum.Enum):
    """What may happen to a version."""

    LOAD = "load"
    CANCEL = "cancel"
    LOADED = "loaded"
    LOAD_FAILED = "load_failed"
    LOAD_CANCELLED = "load_cancelled"
    UNLOAD = "unload"
    CRASH = "crash"
    UNLOADED = "unloaded"


TRANSITIONS: Final[Mapping[tuple[LifecycleState, Event], LifecycleState]] = MappingProxyType(
    {
        (LifecycleState.START, Event.LOAD): LifecycleState.LOADING,
        (LifecycleState.START, Event.CANCEL): LifecycleState.END,
        (LifecycleState.LOADING, Event.LOADED): LifecycleState.AVAILABLE,
        (LifecycleState.LOADING, Event.LOAD_FAILED): LifecycleState.END,
        # A load that succeeds after its version stopped being aspired is taken down again.
        (LifecycleState.LOADING, Event.LOAD_CANCELLED): LifecycleState.UNLOADING,
        (LifecycleState.AVAILABLE, Event.UNLOAD): LifecycleState.UNLOADING,
        # A dead version still has its loader's remains to clear before the same version may load again.
        (LifecycleState.AVAILABLE, Event.CRASH): LifecycleState.UNLOADING,
        (LifecycleState.LOADING, Event.CRASH): LifecycleState.UNLOADING,
        (LifecycleState.UNLOADING, Event.UNLOADED): LifecycleState.END,
    }
)
"""Every legal move of a version. What is not here raises INTERNAL."""

CONCLUDED_STATES: Final = frozenset({LifecycleState.AVAILABLE, LifecycleState.END})


def next_state(state: LifecycleState, event: Event) -> LifecycleState:
    """The state after `event`; INTERNAL if `TRANSITIONS` does not know the move."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        message = f"Illegal transition of a servable: {event.value} in state {state.name}"
        raise ServingError(Code.INTERNAL, message) from None


class Loader(Protocol):
    """What makes one version ready to run, and takes it down again.

    `load` may be called again after it failed; a load that raises (CancelledError too) has cleared what it
    began. `unload` is called once after a successful load, when no request holds the version any more.
    """

    async def load(self) -> None:
        """Returns when the version can serve; ServingError if it cannot."""

    async def unload(self) -> None:
        """Returns when all that `load` took is given back."""


LoaderT = TypeVar("LoaderT", bound=Loader)


@dataclass(frozen=True, slots=True)
class AspiredVersion:
    """A version that should be served: its folder, and a fingerprint of the files that were seen there."""

    path: Path
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version as the world sees it: its state, and the error that ended it (else OK and no text)."""

    version: int
    state: LifecycleState
    code: Code = Code.OK
    message: str = ""

    @property
    def is_concluded(self) -> bool:
        """Whether the load is over, for better or worse."""
        return self.state in CONCLUDED_STATES


@dataclass(slots=True, eq=False)
class Harness(Generic[LoaderT]):
    """One version under management: what it was aspired as, its loader, its state and its error.

    `is_aspired` turns false for ever once a version is being unloaded: aspiring it again needs a new harness.
    """

    id: ServableId
    aspired: AspiredVersion
    loader: LoaderT
    state: LifecycleState = field(default=LifecycleState.START, init=False)
    is_aspired: bool = field(default=True, init=False)
    error: ServingError | None = field(default=None, init=False)

    def advance(self, event: Event) -> LifecycleState:
        """Moves to the next state and returns the one before; INTERNAL on an illegal move."""
        before = self.state
        self.state = next_state(before, event)
        return before

    def aspire(self, wanted: AspiredVersion | None) -> None:
        """Notes what is aspired for this version number now; None is nothing.

        The same folder keeps a live version. An ended one stays aspired only while its files are the same, so
        that a failed version is tried again when they change (upstream waits for a new number).
        """
        if wanted is None or wanted.path != self.aspired.path:
            self.is_aspired = False
        elif self.state in (LifecycleState.UNLOADING, LifecycleState.END):
            self.is_aspired = self.is_aspired and wanted.fingerprint == self.aspired.fingerprint
        else:
            self.is_aspired = True

    @property
    def status(self) -> VersionStatus:
        """The public view. An error shows only at the end, as upstream's health does."""
        if self.error is None or self.state is not LifecycleState.END:
            return VersionStatus(self.id.version, self.state)
        return VersionStatus(self.id.version, self.state, self.error.code, self.error.message)
