"""The CPUs that this process may use, and what follows from their number.

A container's quota or an affinity mask allows fewer than the machine has; a thread for each of the machine's CPUs
would then be stopped most of the time, in the middle of what others wait for.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

from jupyter_tfserve.worker.control_groups import CGROUPS, OWN_CGROUPS, group_folders, read_text

MAX_LANES: Final = 8
MAX_LOADS: Final = 4
MAX_FRONTS: Final = 8


def usable_cpus() -> int:
    """How many CPUs this process may keep busy, at least one."""
    quota = cpu_quota(CGROUPS, read_text(OWN_CGROUPS))
    return allowed_cpus(schedulable_cpus(), quota)


def schedulable_cpus() -> int:
    """The CPUs on which this process may run: what TensorFlow counts."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def allowed_cpus(schedulable: int, quota: float | None) -> int:
    """The whole CPUs of `quota`, the last one in part, among those that are schedulable."""
    return schedulable if quota is None else max(1, min(schedulable, math.ceil(quota)))


def cpu_quota(mounted: Path, own: str) -> float | None:
    """The tightest quota of the control groups in `own` (a /proc/PID/cgroup), in CPUs; None if none is limited."""
    quotas = [
        quota
        for folder, is_first in group_folders(mounted, own, "cpu")
        if (quota := _first_quota(folder) if is_first else _parsed(read_text(folder / "cpu.max"))) is not None
    ]
    return min(quotas, default=None)


def lanes_for(cpus: int) -> int:
    """The batches that a version may run at once: two, so that one is assembled while another runs, and one more for
    each four CPUs above eight.
    """
    return max(2, min(MAX_LANES, cpus // 4))


def fronts_for(cpus: int) -> int:
    """The processes that take connections: one up to four CPUs, then one for each four."""
    return max(1, min(MAX_FRONTS, -(-cpus // 4)))


def loads_for(cpus: int) -> int:
    """The versions that may load at once: a load keeps a CPU busy; two at least, so that one that hangs holds up none."""
    return max(2, min(MAX_LOADS, cpus))


def _first_quota(folder: Path) -> float | None:
    return _parsed(" ".join(read_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")))


def _parsed(text: str) -> float | None:
    """`quota period`; `max` and -1 are no quota."""
    words = text.split()
    if len(words) != 2 or not all(word.isdecimal() for word in words) or "0" in words:
        return None
    return int(words[0]) / int(words[1])
