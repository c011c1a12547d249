"""How many connections an engine takes where few files may be open."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from jupyter_tfserve.engine.descriptors import PORTS, RESERVED, connections_within
from jupyter_tfserve.options import LimitOptions

LIMITS = LimitOptions()
LIMITED = """
import resource, sys
from jupyter_tfserve.engine.descriptors import with_room_for_files
from jupyter_tfserve.options import LimitOptions
resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[1])))
limits, notes = with_room_for_files(LimitOptions())
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], limits.max_connections, *notes)
"""


def in_a_process(hard: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(hard)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_limit_is_raised_to_what_the_connections_need() -> None:
    wanted = PORTS * LIMITS.max_connections + RESERVED
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"at most {hard} files may be open here")
    assert in_a_process(hard) == f"{wanted} {LIMITS.max_connections}"


def test_connections_are_fewer_and_it_is_said_when_the_limit_cannot_be_raised() -> None:
    assert in_a_process(1024) == (
        "1024 256 At most 256 connections a port, since 1024 files may be open (ulimit -n)"
    )


@pytest.mark.parametrize(
    ("files", "connections"),
    [(12_544, 4096), (12_543, 4095), (1024, 256), (512, 85), (100, 16), (3, 1), (0, 1), (10**6, 4096)],
)
def test_files_are_left_when_each_port_has_all_of_its_connections(files: int, connections: int) -> None:
    assert connections_within(files, LIMITS) == connections
    assert PORTS * connections < files or connections == 1
