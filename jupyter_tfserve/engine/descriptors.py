"""Room for files beside the connections: a process that can open none any more can neither save nor start anything.

The system's limit is raised to what the limit on connections needs, as far as that is allowed; else there are fewer
connections.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from jupyter_tfserve.options import LimitOptions

PORTS: Final = 3
"""REST, gRPC and control: each has `max_connections`."""
RESERVED: Final = 256
"""For the sockets of workers and fronts, for the state, the models' folders and what the system is asked for."""


def with_room_for_files(limits: LimitOptions) -> tuple[LimitOptions, tuple[str, ...]]:
    """The limits that this process can keep, whose own limit on open files is raised for them, and what a person should
    know about it.
    """
    allowed = raised_limit(PORTS * limits.max_connections + RESERVED)
    connections = limits.max_connections if allowed is None else connections_within(allowed, limits)
    if connections == limits.max_connections:
        return limits, ()
    note = f"At most {connections} connections a port, since {allowed} files may be open (ulimit -n)"
    return replace(limits, max_connections=connections), (note,)


def connections_within(files: int, limits: LimitOptions) -> int:
    """The connections that each port may have where so many files may be open."""
    reserved = min(RESERVED, files // 2)
    return max(1, min(limits.max_connections, (files - reserved) // PORTS))


def raised_limit(wanted: int) -> int | None:
    """How many files this process may have open from now on: `wanted`, or as many as it may; None: there is no limit."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now == resource.RLIM_INFINITY:
        return None
    target = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    if target <= now:
        return now
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, most))
    except (OSError, ValueError):
        return now
    return target
