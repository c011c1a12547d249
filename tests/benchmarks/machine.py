"""Which cores servers and load run on, and the machine in words."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import time
from dataclasses import dataclass

import psutil

_LOOK_S = 0.1
_IDLE_SHARE = 0.5
_SETTLE_DEADLINE_S = 2.0


@dataclass(frozen=True, slots=True)
class Cores:
    """The processors of servers and of the load; empty: wherever the system puts them."""

    server: tuple[int, ...] = ()
    load: tuple[int, ...] = ()


def pick_cores(pinned: bool) -> Cores:
    """One core for the server and another for the load, if this process may use two; else none is pinned."""
    if not pinned or not hasattr(os, "sched_getaffinity"):
        return Cores()
    usable = sorted(os.sched_getaffinity(0))
    return Cores((usable[0],), (usable[-1],)) if len(usable) > 1 else Cores()


def pin(pid: int, cores: tuple[int, ...]) -> None:
    """Keeps a process that has just been started, and all that it will start, on these cores; none: anywhere."""
    if cores:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).cpu_affinity(list(cores))


def keep_off_servers(cores: Cores) -> None:
    """Moves this process, and what it starts and does not pin, to where the load is."""
    pin(os.getpid(), cores.load)


def busy_s(cores: tuple[int, ...]) -> float:
    """What these cores have computed since the machine's start; 0 if there are none to look at."""
    total = 0.0
    if cores:
        times = psutil.cpu_times(percpu=True)
        for core in cores:
            # Interrupts are left out: the network's are counted there, whoever caused them.
            one = times[core]
            total += one.user + one.system + getattr(one, "nice", 0.0) + getattr(one, "steal", 0.0)
    return total


def settle(cores: tuple[int, ...]) -> None:
    """Waits until these cores are idle: a server may still work at what its last callers no longer wait for."""
    deadline = time.monotonic() + _SETTLE_DEADLINE_S
    busy = busy_s(cores)
    while cores and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        before, busy = busy, busy_s(cores)
        if busy - before <= _IDLE_SHARE * _LOOK_S * len(cores):
            return


def machine_words(cores: Cores) -> dict[str, str]:
    """What a reader must know of the machine: no product's name, since figures are read as ratios."""
    where = (
        f"server on core {cores.server[0]}, load on core {cores.load[0]}" if cores.server else "not pinned"
    )
    return {
        "cores": f"{psutil.cpu_count()} logical processors, {where}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "revision": _revision(),
    }


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
