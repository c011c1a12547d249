"""Workload after workload: all targets take turns; who cannot take part is named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.benchmarks.figures import Sample, turns
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.loads import NoLoad
from tests.benchmarks.targets import Measured
from tests.benchmarks.workloads import Workload


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each turn takes, how many there are, and the longest that is not counted before them."""

    seconds: float
    repetitions: int
    warm_up_s: float


@dataclass(slots=True)
class Result:
    """All turns of one target at one workload and number of connections."""

    workload: str
    connections: int
    target: str
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class Findings:
    """What a run found; `absent` has reasons by (workload, target)."""

    results: list[Result] = field(default_factory=list)
    absent: dict[tuple[str, str], str] = field(default_factory=dict)

    def find(self, workload: str, connections: int, target: str) -> Result | None:
        """One target's turns; None if it did not take part."""
        for one in self.results:
            if (one.workload, one.connections, one.target) == (workload, connections, target):
                return one
        return None

    def as_json(self) -> dict[str, Any]:
        """All turns."""
        absent = [
            {"workload": workload, "target": target, "reason": reason}
            for (workload, target), reason in self.absent.items()
        ]
        return {"results": [asdict(one) for one in self.results], "absent": absent}


def read_findings(told: Mapping[str, Any]) -> Findings:
    """What `as_json` has written."""
    results = [
        Result(
            one["workload"], one["connections"], one["target"], [Sample(**turn) for turn in one["samples"]]
        )
        for one in told["results"]
    ]
    absent = {(one["workload"], one["target"]): one["reason"] for one in told["absent"]}
    return Findings(results, absent)


def measure_all(
    workloads: Iterable[Workload],
    fleet: Fleet,
    pace: Pace,
    findings: Findings,
    say: Callable[[str], None],
    done: Callable[[], None],
) -> None:
    """Adds every workload to the findings; `done` is called after each."""
    for workload in workloads:
        for connections in workload.connections:
            say(f"{workload.title}, {connections} connections")
            ready, absent = fleet.ready(workload, connections)
            for name, reason in absent.items():
                say(f"  {name} takes no part: {reason}")
                findings.absent[workload.name, name] = reason
            _measure(workload, connections, ready, pace, findings, say)
        done()


def _turn(target: Measured, workload: Workload, connections: int, seconds: float) -> Sample:
    # A machine that does something else for a second must not cost a slow server its place.
    try:
        return target.turn(workload, connections, seconds)
    except NoLoad:
        return target.turn(workload, connections, 2 * seconds)


def _measure(
    workload: Workload,
    connections: int,
    ready: dict[str, Measured],
    pace: Pace,
    findings: Findings,
    say: Callable[[str], None],
) -> None:
    for target in ready.values():
        with contextlib.suppress(NoLoad):
            target.turn(workload, connections, min(workload.warm_up_s, pace.warm_up_s))
    samples: dict[str, list[Sample]] = {name: [] for name in ready}
    for name in turns(list(ready), pace.repetitions):
        # Whoever missed a turn has no pairs with the others.
        if name not in samples:
            continue
        try:
            samples[name].append(_turn(ready[name], workload, connections, pace.seconds * workload.times))
        except NoLoad as error:
            del samples[name]
            findings.absent[workload.name, name] = f"no right answer under load: {error}"
            say(f"  {name} takes no part any more: {error}")
    for name, taken in samples.items():
        findings.results.append(Result(workload.name, connections, name, taken))
        last = taken[-1]
        times = f"p50 {last.p50_ms:.3f}  p99 {last.p99_ms:.3f} ms  cpu {last.cpu_us:.0f} us"
        shares = f"load {last.load_share:.2f}  others {last.others_share:.2f}  errors {last.errors}"
        say(f"  {name:40} {last.per_s:10.1f}/s  {times}  {shares}")
