"""What the system says of memory: how much is left, whether it killed somebody for lack of it, what a model needs.

Linux's files, of the control group where there is one; what cannot be read is not known. Blocking, but short.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.control_groups import CGROUPS, OWN_CGROUPS, group_folders, read_text

_OWN_CGROUPS: Final = OWN_CGROUPS
_VMSTAT: Final = Path("/proc/vmstat")
_GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class _Names:
    """The files of one generation of control groups."""

    limit: str
    usage: str
    reclaimable: str
    events: str


_V1: Final = _Names(
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control"
)
_V2: Final = _Names("memory.max", "memory.current", "inactive_file", "memory.events")


def check_fits(servable: ServableId, path: Path, factor: float) -> None:
    """Passes if a model whose files are `path` may be loaded; `factor` times their size is what it takes (0: any).

    RESOURCE_EXHAUSTED with both figures otherwise.
    """
    if factor <= 0:
        return
    needed, left = factor * size_of(path), available_bytes()
    if needed > left:
        raise ServingError(
            Code.RESOURCE_EXHAUSTED,
            f"Loading servable {servable} takes about {needed / _GIB:.2f} GiB of memory ({factor:g} times its "
            f"files), and {left / _GIB:.2f} GiB are left; --memory_estimate_factor=0 loads it all the same",
        )


def size_of(folder: Path) -> int:
    """The bytes of all files below `folder`; what cannot be read counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def available_bytes() -> int:
    """What processes of this one's group can still take: the machine's, or less where a group is limited."""
    left = int(psutil.virtual_memory().available)
    for folder, names in _groups():
        limit, usage = _number(folder / names.limit), _number(folder / names.usage)
        if limit is not None and usage is not None:
            reclaimable = _field(folder / "memory.stat", names.reclaimable) or 0
            left = min(left, max(limit - usage + reclaimable, 0))
    return left


def oom_kills() -> int | None:
    """How often the system has killed for lack of memory, in this group or, if it can't say, anywhere."""
    for folder, names in _groups():
        count = _field(folder / names.events, "oom_kill")
        if count is not None:
            return count
    return _field(_VMSTAT, "oom_kill")


def _groups() -> Iterator[tuple[Path, _Names]]:
    """The memory groups of this process from the inside out, as far as they can be seen."""
    for folder, is_first in group_folders(CGROUPS, read_text(_OWN_CGROUPS), "memory"):
        names = _V1 if is_first else _V2
        if (folder / names.usage).exists():
            yield folder, names


def _number(file: Path) -> int | None:
    text = read_text(file).strip()
    return int(text) if text.isdecimal() else None


def _field(file: Path, name: str) -> int | None:
    for line in read_text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdecimal():
            return int(value)
    return None
