"""A server that is not asked sleeps with all its children, and is ended all the same."""

from __future__ import annotations

import sys

import psutil

from tests.benchmarks.serving import pause, resume, running, wait_for

PARENT = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
    "print('up', flush=True)\n"
    "child.wait()\n"
)


def test_server_sleeps_with_its_children_until_it_is_woken_and_ends_asleep(tmp_path) -> None:
    log = tmp_path / "log"
    with running([sys.executable, "-c", PARENT], log, ()) as process:
        wait_for(lambda: "up" in log.read_text(), "it did not start")
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        assert len(family) == 2
        pause(process.pid)
        wait_for(lambda: all(one.status() == psutil.STATUS_STOPPED for one in family), "one did not sleep")
        resume(process.pid)
        wait_for(lambda: all(one.status() != psutil.STATUS_STOPPED for one in family), "one did not wake")
        pause(process.pid)
    assert process.returncode is not None
    wait_for(lambda: not any(one.is_running() for one in family), "one was left over")


def test_pause_of_a_server_that_has_died_is_nothing(tmp_path) -> None:
    with running([sys.executable, "-c", ""], tmp_path / "log", ()) as process:
        process.wait()
        pause(process.pid)
        resume(process.pid)
