"""Large pages for the processes that hold requests' bodies, not for those that hold models.

Half of what a body of many megabytes costs is the kernel's fetching and clearing of pages of 4 KiB, since memory of that
size goes back to the system after each request. glibc asks for pages of 2 MiB if its tunables say so, and reads them
when a program starts, so they are part of its environment. Imports nothing that takes time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

TUNABLES: Final = "GLIBC_TUNABLES"
SWITCH: Final = "TFSERVE_HUGE_PAGES"
""""0": whoever started us wants none; "1": the tunables were set. It survives where the system drops the tunables, as it
does for programs with privileges of their own, so nobody is started over and over."""
_TUNABLE: Final = "glibc.malloc.hugetlb"
_OURS: Final = f"{_TUNABLE}=1"


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for a program that reads large bodies; as it was where somebody has decided already."""
    kept = dict(environment)
    given = kept.get(TUNABLES, "")
    if sys.platform == "linux" and SWITCH not in kept and _TUNABLE not in given:
        kept[TUNABLES] = f"{given}:{_OURS}" if given else _OURS
        kept[SWITCH] = "1"
    return kept


def without_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """What `with_huge_pages` was given."""
    kept = dict(environment)
    if kept.get(SWITCH) == "1":
        del kept[SWITCH]
        given = kept.pop(TUNABLES, "").removesuffix(_OURS).rstrip(":")
        if given:
            kept[TUNABLES] = given
    return kept


def restart_with_huge_pages() -> None:
    """Starts this process's program over, with the same arguments, if its environment has to be another one.

    REQUIRES: it has just been started, and nothing is open yet.
    """
    environment = with_huge_pages(os.environ)
    if environment != dict(os.environ) and sys.executable:
        os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606  our own interpreter and arguments
