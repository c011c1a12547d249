"""Everything that takes part, open at the same time: started once, started again when it has died, closed at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.benchmarks.serving import NotInstalled, NotStarted
from tests.benchmarks.targets import Measured, Target
from tests.benchmarks.workloads import Workload

_STARTS = 3
"""How often one is started at most: a peer that crashes at every workload must not take the run's time."""
_AT_ONCE = 2


@dataclass(slots=True)
class _Member:
    target: Target
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    measured: Measured | None = None
    starts: int = 0
    problem: str = ""

    def open(self) -> None:
        if self.starts == _STARTS:
            return
        self.starts += 1
        try:
            self.measured = self.stack.enter_context(self.target.open())
        except NotInstalled as error:
            self.problem, self.starts = str(error), _STARTS
        except NotStarted as error:
            self.problem = str(error)

    def close(self) -> None:
        self.measured = None
        self.stack.close()

    def ready(self, workload: Workload) -> Measured:
        """It, if it answers the workload right; where it does not, or no more, it gets one new start."""
        if self.measured is not None:
            try:
                self.measured.prepare(workload)
            except NotStarted as error:
                self.problem = str(error)
                self.close()
            else:
                return self.measured
        self.open()
        if self.measured is None:
            raise NotStarted(self.problem)
        try:
            self.measured.prepare(workload)
        except NotStarted as error:
            self.problem = str(error)
            raise
        return self.measured


class Fleet:
    """The targets as a context: those that cannot start are told of, and leave the others alone."""

    def __init__(self, targets: list[Target], say: Callable[[str], None]) -> None:
        self._members = [_Member(target) for target in targets]
        self._say = say

    def __enter__(self) -> Fleet:
        # Two at once: most of a start is computing, but some wait for something every now and then.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(_Member.open, self._members))
        for member in self._members:
            if member.measured is None:
                # Once more and alone: some give up a start that the others' starts slow down. That is its last one.
                member.open()
                member.starts = _STARTS if member.measured is None else member.starts
            state = "is up" if member.measured is not None else f"takes no part: {member.problem}"
            self._say(f"{member.target.name} {state}")
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.close()

    def ready(self, workload: Workload, connections: int) -> tuple[dict[str, Measured], dict[str, str]]:
        """Those that take part, in their order, and why others of them cannot."""
        ready: dict[str, Measured] = {}
        absent: dict[str, str] = {}
        for member in self._members:
            if not member.target.takes(workload, connections):
                continue
            try:
                ready[member.target.name] = member.ready(workload)
            except NotStarted as error:
                absent[member.target.name] = str(error)
        return ready, absent
