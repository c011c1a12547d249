"""Workload after workload: opens all targets and lets them take turns; who cannot take part is named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.figures import Sample, turns
from tests.benchmarks.loads import NoLoad
from tests.benchmarks.models import read_model
from tests.benchmarks.serving import NotStarted
from tests.benchmarks.targets import Measured, Setting, Target, our_target, targets_of
from tests.benchmarks.workloads import Workload


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each turn takes, how many there are, and the first, uncounted one."""

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


def measure_all(
    workloads: Iterable[Workload],
    models: Path,
    setting: Setting,
    pace: Pace,
    wanted: Callable[[str], bool],
    say: Callable[[str], None],
    done: Callable[[Findings], None],
) -> Findings:
    """Every workload with all its targets; `done` is told what there is after each."""
    findings = Findings()
    for workload in workloads:
        model = read_model(models, workload.model)
        engine = our_target(workload, model, setting)
        targets = targets_of(workload, model, setting, engine, wanted)
        with contextlib.ExitStack() as stack:
            ready = _open_all(workload, targets, stack, findings, say)
            _measure(workload, ready, pace, findings, say)
        done(findings)
    return findings


def _open_all(
    workload: Workload,
    targets: list[Target],
    stack: contextlib.ExitStack,
    findings: Findings,
    say: Callable[[str], None],
) -> dict[str, Measured]:
    # All at once: most of a start is waiting for its own imports.
    with ThreadPoolExecutor(len(targets)) as pool:
        contexts = {target.name: target.open() for target in targets}
        begun = {name: (context, pool.submit(context.__enter__)) for name, context in contexts.items()}
    ready: dict[str, Measured] = {}
    for name, (context, entered) in begun.items():
        try:
            ready[name] = entered.result()
        except NotStarted as error:  # noqa: PERF203 - each may fail by itself
            findings.absent[workload.name, name] = str(error)
            say(f"  {name} takes no part: {error}")
        else:
            stack.push(context.__exit__)
    return ready


def _measure(
    workload: Workload, ready: dict[str, Measured], pace: Pace, findings: Findings, say: Callable[[str], None]
) -> None:
    for connections in workload.connections:
        say(f"{workload.title}, {connections} connections")
        results = {name: Result(workload.name, connections, name) for name in ready}
        for name in list(ready):
            with contextlib.suppress(NoLoad):
                ready[name].turn(connections, pace.warm_up_s)
        for name in turns(list(ready), pace.repetitions):
            try:
                results[name].samples.append(ready[name].turn(connections, pace.seconds))
            except NoLoad as error:  # noqa: PERF203 - the same
                findings.absent[workload.name, name] = f"no answer under load: {error}"
        # Whoever missed a turn has no pairs with the others.
        complete = [one for one in results.values() if len(one.samples) == pace.repetitions]
        findings.results += complete
        for one in complete:
            last = one.samples[-1]
            times = f"p50 {last.p50_ms:.3f}  p99 {last.p99_ms:.3f} ms  cpu {last.cpu_us:.0f} us"
            say(f"  {one.target:32} {last.per_s:10.1f}/s  {times}  errors {last.errors}")
