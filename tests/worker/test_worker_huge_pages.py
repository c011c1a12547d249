"""Large pages: who has them, and that nobody who decided otherwise is overruled."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jupyter_tfserve.worker import process
from jupyter_tfserve.worker.huge_pages import SWITCH, TUNABLES, with_huge_pages, without_huge_pages

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="glibc's tunables")
_ONE_START = (
    "import os; from jupyter_tfserve.worker.huge_pages import restart_with_huge_pages; print('started', os.getpid()); "
    "import sys; sys.stdout.flush(); restart_with_huge_pages(); print(os.environ.get('GLIBC_TUNABLES'), os.getpid())"
)


@linux_only
@pytest.mark.parametrize(
    ("given", "tunables"),
    [
        ({}, "glibc.malloc.hugetlb=1"),
        ({TUNABLES: "glibc.malloc.arena_max=2"}, "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1"),
        ({TUNABLES: "glibc.malloc.hugetlb=2"}, "glibc.malloc.hugetlb=2"),
        ({SWITCH: "0"}, None),
        ({SWITCH: "1"}, None),
    ],
)
def test_huge_pages_are_asked_for_unless_somebody_has_decided(given, tunables):
    assert with_huge_pages(given).get(TUNABLES) == tunables


@pytest.mark.parametrize("given", [{}, {TUNABLES: "glibc.malloc.arena_max=2"}, {SWITCH: "0"}, {"PATH": "p"}])
def test_environment_is_the_same_again_without_huge_pages(given):
    assert without_huge_pages(with_huge_pages(given)) == given


def test_worker_has_no_huge_pages_when_its_engine_has(monkeypatch):
    for name, value in with_huge_pages({}).items():
        monkeypatch.setenv(name, value)
    assert not {TUNABLES, SWITCH} & process.worker_environment().keys()


@linux_only
@pytest.mark.parametrize(("switch", "starts"), [(None, 2), ("0", 1), ("1", 1)])
def test_program_is_restarted_once_when_its_environment_lacks_huge_pages(switch, starts):
    """`1` without tunables is what a program with privileges sees: the system has dropped them."""
    environment = {name: value for name, value in os.environ.items() if name not in (SWITCH, TUNABLES)}
    if switch is not None:
        environment[SWITCH] = switch
    command = [sys.executable, "-c", _ONE_START]
    told = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    *started, last = told.splitlines()
    tunables, pid = last.split()
    assert started == [f"started {pid}"] * starts
    assert tunables == ("glibc.malloc.hugetlb=1" if starts == 2 else "None")
