"""How busy a run of the model keeps the CPUs: what two batches at once would have to share.

Runs in the worker's process, one meter for each lane's thread. A run that shares its CPUs with others, the engine among
them, is no less busy for that: the time in which its thread was ready and another one ran does not count.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final

WORTH_KNOWING_S: Final = 1e-3
_SCHEDSTAT: Final = "/proc/thread-self/schedstat"
"""Linux: nanoseconds that the thread ran, nanoseconds that it waited for a CPU, time slices."""


class BusyMeter:
    """Of the thread that makes it. `cpus` are those that the process may use."""

    def __init__(self, cpus: int) -> None:
        self._cpus = cpus
        self._began = self._cpu_began = 0.0
        self._file: int | None = None
        with contextlib.suppress(OSError):
            self._file = os.open(_SCHEDSTAT, os.O_RDONLY)
        self._waited_s = self._read_waited()

    def begin(self) -> None:
        """A run begins."""
        self._cpu_began = time.process_time()
        self._began = time.perf_counter()

    def end(self) -> tuple[float, float]:
        """(seconds that it took, the share of the CPUs that the process kept busy): 0 where it was too short to tell,
        1 for all of them; more if another run took its turns."""
        seconds = time.perf_counter() - self._began
        if seconds < WORTH_KNOWING_S:
            return seconds, 0.0
        cpu_s = time.process_time() - self._cpu_began
        # Between two runs the thread sleeps, so what it waited since the last look was in this one.
        before, self._waited_s = self._waited_s, self._read_waited()
        own_s = max(seconds - (self._waited_s - before), WORTH_KNOWING_S / 10)
        return seconds, cpu_s / (own_s * self._cpus)

    def close(self) -> None:
        """The thread ends."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read_waited(self) -> float:
        if self._file is None:
            return 0.0
        try:
            return int(os.pread(self._file, 64, 0).split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return 0.0
