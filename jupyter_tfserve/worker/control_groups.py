"""Where Linux keeps what it allows a process: the folders of its control groups, of either generation. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUPS: Final = Path("/proc/self/cgroup")


def group_folders(mounted: Path, own: str, controller: str) -> Iterator[tuple[Path, bool]]:
    """The groups that bound a process, from the inside out, each with whether it is of the first generation.

    `mounted` is where groups are, `own` the process's /proc/PID/cgroup. Folders may not exist: in a container the
    path is the host's, and the group is mounted as the root.
    """
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = mounted / controller if controllers else mounted
        folder = root / path.strip("/")
        for one in (folder, *folder.parents):
            yield one, bool(controllers)
            if one == root:
                break


def read_text(file: Path) -> str:
    """The file's text; empty if it cannot be read."""
    try:
        return file.read_text()
    except OSError:
        return ""
