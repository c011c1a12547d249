"""The values of a supervisor: its states, its patience, its snapshot, and the rule of restarts. Pure."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field

from jupyter_tfserve.engine.connection import Connection


class SupervisorState(enum.Enum):
    """Where the engine is in its life, seen from outside."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "restarting"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """How patient a supervisor is: it gives up after `max_restarts` restarts within `restart_window_s`.

    The first of them is at once, the second after `first_delay_s`.
    """

    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 15.0
    first_delay_s: float = 0.2
    max_delay_s: float = 30.0
    max_restarts: int = 8
    restart_window_s: float = 300.0


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """A snapshot. `reason` tells why it is not running; `started` is in seconds of the epoch."""

    state: SupervisorState
    pid: int | None
    connection: Connection | None = field(repr=False)
    restarts: int
    reason: str | None
    started: float | None


class RestartRule:
    """When to start again after a crash: at once, then with delays that double; too many in a while end it. Pure."""

    def __init__(self, options: SupervisorOptions) -> None:
        self._options = options
        self._crashes: deque[float] = deque()

    def next_delay(self, now: float) -> float | None:
        """Seconds to wait after a crash at `now` (monotonic), or None to give up."""
        while self._crashes and now - self._crashes[0] > self._options.restart_window_s:
            self._crashes.popleft()
        if len(self._crashes) >= self._options.max_restarts:
            return None
        earlier = len(self._crashes)
        self._crashes.append(now)
        delay = self._options.first_delay_s * 2.0 ** (earlier - 1) if earlier else 0.0
        return min(delay, self._options.max_delay_s)
