"""Everybody has the same turns; who misses one is named and costs the others nothing."""

from __future__ import annotations

import contextlib

import pytest

from tests.benchmarks.figures import Sample
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.loads import NoLoad
from tests.benchmarks.side_by_side import Findings, Pace, measure_all
from tests.benchmarks.targets import Target
from tests.benchmarks.workloads import Workload

WORKLOAD = Workload("one", "one", ("three_floats",), (64,), (64,), warm_up_s=9)


class StandIn:
    """Answers `fails` turns with nothing, the warm-up included, then as it should."""

    def __init__(self, name: str, log: list[tuple[str, float]], fails: int = 0) -> None:
        self.name, self.log, self.fails = name, log, fails

    def prepare(self, _workload) -> None:
        pass

    def turn(self, _workload, _connections, seconds) -> Sample:
        self.log.append((self.name, seconds))
        if self.fails:
            self.fails -= 1
            raise NoLoad("none")
        return Sample(100, 1, 2, 100)

    def target(self) -> Target:
        return Target(self.name, lambda: contextlib.nullcontext(self), lambda _workload, _connections: True)


@pytest.fixture
def measure():
    def measured(*stand_ins) -> Findings:
        findings = Findings()
        with Fleet([one.target() for one in stand_ins], lambda _text: None) as fleet:
            measure_all([WORKLOAD], fleet, Pace(1, 2, 3), findings, lambda _text: None, lambda: None)
        return findings

    return measured


def test_turns_alternate_after_a_warm_up_of_each(measure) -> None:
    log: list[tuple[str, float]] = []
    findings = measure(StandIn("a", log), StandIn("b", log))
    assert log == [("a", 3), ("b", 3), *[("a", 1), ("b", 1)] * 2]
    assert [(one.target, len(one.samples)) for one in findings.results] == [("a", 2), ("b", 2)]


def test_turn_without_an_answer_is_tried_once_more_and_longer(measure) -> None:
    log: list[tuple[str, float]] = []
    findings = measure(StandIn("a", log, fails=2))
    assert log == [("a", 3), ("a", 1), ("a", 2), ("a", 1)]
    assert not findings.absent


def test_target_that_never_answers_is_named_and_leaves_the_others(measure) -> None:
    log: list[tuple[str, float]] = []
    findings = measure(StandIn("a", log, fails=99), StandIn("b", log))
    assert findings.absent == {("one", "a"): "no right answer under load: none"}
    assert [one.target for one in findings.results] == ["b"]
    assert log.count(("a", 1)) == 1
