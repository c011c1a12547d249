"""How busy a run keeps the CPUs, on CPUs that others use as well."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from jupyter_tfserve.worker.busy import BusyMeter

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="what a thread waited is Linux's"
)


def compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def measured(work) -> tuple[float, float]:
    meter = BusyMeter(1)
    meter.begin()
    work()
    found = meter.end()
    meter.close()
    return found


def on_one_cpu(work) -> None:
    """Runs it in a thread that has a CPU of this process to itself and whoever shares it."""
    found = []

    def pinned() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        found.append(work())

    thread = threading.Thread(target=pinned)
    thread.start()
    thread.join()
    return found[0]


def test_run_that_computes_keeps_its_cpu_busy() -> None:
    seconds, share = on_one_cpu(lambda: measured(lambda: compute(0.02)))
    assert seconds >= 0.02
    assert share > 0.7


def test_run_that_sleeps_keeps_none_busy() -> None:
    seconds, share = measured(lambda: time.sleep(0.05))
    assert seconds >= 0.05
    assert share < 0.5


def test_quick_run_is_not_looked_at() -> None:
    assert measured(lambda: None)[1] == 0
