"""How a worker's process ended, and whose fault that was. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

_FAULTS: Final = frozenset(
    {
        signal.SIGABRT,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGSYS,
    }
)


@dataclass(frozen=True, slots=True)
class Death:
    """`how` in brackets, empty if unknown. `is_own_fault`: the model did it, nobody else."""

    how: str
    is_own_fault: bool


def death(status: int | None, is_ours: bool = False, oom_kills: int | None = 0) -> Death:
    """What an exit status means (negative: a signal; None: unknown).

    `is_ours`: the engine killed it; `oom_kills`: how many processes the system killed for lack of memory since
    this one began, None if that cannot be known.
    """
    if status is None:
        return Death("", is_own_fault=False)
    if status >= 0:
        return Death(f" (exit status {status})", is_own_fault=status > 0)
    name = (signal.strsignal(-status) or "unknown").lower()
    if -status == signal.SIGKILL and not is_ours and oom_kills != 0:
        # Anybody may send this signal: only with the system's word is the model to blame.
        cause = "perhaps out of memory" if oom_kills is None else "out of memory"
        return Death(f" (signal 9, {name}, {cause})", is_own_fault=oom_kills is not None)
    return Death(f" (signal {-status}, {name})", is_own_fault=-status in _FAULTS)
